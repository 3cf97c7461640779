"""The audit's own words in both languages, and how its numbers are written."""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from sim.audit.alternative import Alternative
from sim.audit.answer import Answer
from sim.audit.claim import Span
from sim.audit.evidence import Reading, Rests
from sim.audit.influence import Influence
from sim.audit.verdict import Verdict
from sim.scenario.load import load
from sim.stats import Interval
from ui.vllm_serve import serve_command

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

VERDICTS: Mapping[Language, Mapping[Verdict, str]] = {
    "en": {verdict: verdict.value for verdict in Verdict},
    "zh": {
        Verdict.SUPPORTED: "成立",
        Verdict.CONDITIONAL: "有条件成立",
        Verdict.CONTRADICTED: "不成立",
        Verdict.INCONSISTENT: "自相矛盾",
        Verdict.UNSUPPORTED: "缺乏依据",
        Verdict.QUALITATIVE: "定性陈述",
    },
}

RESTS: Mapping[Language, Mapping[Rests, str]] = {
    "en": {
        Rests.OWN: "the article's own setting",
        Rests.OTHER: "a setting it leaves out",
        Rests.CHECK: "its numbers against each other",
        Rests.CONTEXT: "for comparison",
    },
    "zh": {
        Rests.OWN: "原文自身的设定",
        Rests.OTHER: "原文未说明的设定",
        Rests.CHECK: "原文数字互相核对",
        Rests.CONTEXT: "供比较",
    },
}

HOLDS: Mapping[Language, Mapping[bool | None, str]] = {
    "en": {True: "holds", False: "does not hold", None: "open"},
    "zh": {True: "成立", False: "不成立", None: "未定"},
}

TEXT: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "title": "The article, tested",
        "intro": "Every claim of the article on the 'impossible triangle' of deploying vLLM and DeepSeek, restated so "
        "that it can be measured, and measured. Intervals are 95 %, over replications of the simulation; numbers of "
        "arithmetic have none.",
        "rule": "How a verdict follows",
        "claim": "Claim",
        "verdict": "Verdict",
        "article": "Article",
        "ours": "Ours",
        "definition": "Read as",
        "reading": "Reading",
        "claimed": "Claimed",
        "rests": "Rests on",
        "matters": "What matters most",
        "true_if": "What would have to be true",
        "later": "Left to a later version",
        "open": "open: narrower intervals could make it {verdict}",
        "nothing": "No input moves it.",
        "moves": "{words} ({low} to {high}{unit}): from {at_low} to {at_high}",
        "counts": "{n} claims: {counts}.",
        "alternative": "What actually breaks the triangle",
        "alternative_intro": "The cheapest fleet that Trilemma finds for the article's own case, a million requests a "
        "day of which 99.95 % are answered, against its $3,800 a day: {best}. Its scenario ships as "
        "scenarios/article/alternative.yaml; one replica starts with:",
        "rivals": "Chosen among",
        "fleet": "Fleet",
        "cost": "List price, USD/day",
    },
    "zh": {
        "title": "原文逐条检验",
        "intro": "把“vLLM + DeepSeek 规模化部署的不可能三角”一文的每个论断改写成可以测量的形式，并加以测量。"
        "区间为仿真重复的 95 % 置信区间；纯算术的结果没有区间。",
        "rule": "结论如何得出",
        "claim": "论断",
        "verdict": "结论",
        "article": "原文",
        "ours": "实测",
        "definition": "采用的定义",
        "reading": "读法",
        "claimed": "原文数值",
        "rests": "依据",
        "matters": "影响最大的输入",
        "true_if": "怎样才会成立",
        "later": "留待以后的版本",
        "open": "未定：区间更窄时可能变为{verdict}",
        "nothing": "没有输入会改变它。",
        "moves": "{words}（{low} 至 {high}{unit}）：由 {at_low} 变为 {at_high}",
        "counts": "共 {n} 条：{counts}。",
        "alternative": "真正打破三角的方案",
        "alternative_intro": "Trilemma 为原文的场景（每天一百万请求、99.95 % 得到回答，原文为每天 3,800 美元）"
        "找到的最便宜的机队：{best}。其场景文件为 scenarios/article/alternative.yaml；单个副本的启动命令：",
        "rivals": "候选方案",
        "fleet": "机队",
        "cost": "标价, 美元/天",
    },
}

RULE: Mapping[Language, tuple[str, ...]] = {
    "en": (
        "A claim in which nothing can be true or false of a measurement is qualitative.",
        "If a check of the article's numbers against each other, or against arithmetic, fails, it is inconsistent.",
        "If it holds under the article's own definition and setting, or if all there is are checks, it is supported.",
        "If it holds only under a definition or a setting that the article leaves out, it is conditional.",
        "If the article gives neither definition nor setting, and it holds under some, it is unsupported: possible, "
        "but not shown.",
        "If it holds under none, it is contradicted.",
        "A reading holds if its whole 95 % interval lies within what is claimed; 'about' means within 10 %. A verdict "
        "that a narrower interval could change is marked as open.",
    ),
    "zh": (
        "论断中没有任何内容可以被测量证实或证伪的，为“定性陈述”。",
        "原文数字之间、或与算术核对不符的，为“自相矛盾”。",
        "在原文自身的定义和设定下成立的（或只有核对而全部相符的），为“成立”。",
        "只在原文没有说明的定义或设定下成立的，为“有条件成立”。",
        "原文既没有定义也没有设定，而在某些设定下成立的，为“缺乏依据”：可能，但没有证据。",
        "在任何设定下都不成立的，为“不成立”。",
        "整个 95 % 区间都在论断范围之内，才算成立；“约”指 10 % 以内。区间收窄后结论可能改变的，标为“未定”。",
    ),
}


def number(value: float) -> str:
    """A number to three digits or more; a share just below 100 % to as many as tell it from 100 %."""
    size = abs(value)
    if value == 0:
        return "0"
    if size >= 1000:
        return f"{value:,.0f}"
    if size < 0.001:
        return f"{value:.1e}"
    return f"{value:.{6 if 99.9 < size < 100 else 4 if size >= 99 else 3}g}"


def interval(ours: Interval, language: Language) -> str:
    """A number with its interval where it has one."""
    if ours.mean is None:
        return "-"
    bounds = ours.combined
    if bounds is None or bounds[0] == bounds[1]:
        return number(ours.mean)
    low, high = map(number, bounds)
    if low == high:
        return number(ours.mean)
    return f"{number(ours.mean)} ({low} to {high})" if language == "en" else f"{number(ours.mean)}（{low} 至 {high}）"


def span(claimed: Span | None, language: Language) -> str:
    """What is claimed, as bounds."""
    if claimed is None:
        return "-"
    if claimed.low is None or claimed.high is None:
        return f"≥ {number(claimed.low)}" if claimed.low is not None else f"≤ {number(claimed.high or 0.0)}"
    if claimed.low == claimed.high:
        return number(claimed.low)
    return f"{number(claimed.low)} {'to' if language == 'en' else '至'} {number(claimed.high)}"


def headline(answer: Answer, language: Language) -> str:
    """Our number with its unit."""
    first: Reading = answer.evidence.readings[0]
    return f"{interval(first.ours, language)} {first.unit}".rstrip()


def overview(answer: Answer, language: Language) -> tuple[str, str, str, str]:
    """A claim in a row, its verdict apart: number, the article's, ours, and what ours is."""
    words: str = getattr(answer.evidence.readings[0].words, language)
    return answer.claim.id, answer.claim.claimed_words, headline(answer, language), words


def verdict(answer: Answer, language: Language) -> str:
    """The verdict, and what it could be where it is open."""
    ruling, names = answer.ruling, VERDICTS[language]
    if not ruling.is_open:
        return names[ruling.verdict]
    return f"{names[ruling.verdict]} ({TEXT[language]['open'].format(verdict=names[ruling.could_be])})"


def influence(answer: Answer, one: Influence, language: Language) -> str:
    """What an input does to our number."""
    given = answer.claim.inputs[one.name]
    return TEXT[language]["moves"].format(
        words=getattr(given.words, language),
        low=number(given.low),
        high=number(given.high),
        unit=f" {given.unit}".rstrip(),
        at_low=number(one.at_low),
        at_high=number(one.at_high),
    )


def reading_row(one: Reading, language: Language) -> tuple[str, str, str, str, str]:
    """A reading as a row of a table: words, what it rests on, what is claimed, ours, whether it holds."""
    return (
        getattr(one.words, language),
        RESTS[language][one.rests],
        span(one.claimed, language),
        f"{interval(one.ours, language)} {one.unit}".rstrip(),
        "-" if one.claimed is None else HOLDS[language][one.holds],
    )


def reading_head(language: Language) -> tuple[str, str, str, str, str]:
    """Its heads."""
    text = TEXT[language]
    return text["reading"], text["rests"], text["claimed"], text["ours"], text["verdict"]


def alternative_intro(one: Alternative, language: Language) -> str:
    """What the alternative is."""
    return TEXT[language]["alternative_intro"].format(best=getattr(one.best.words, language))


def serve_line(one: Alternative) -> str:
    """The command that starts a replica of it."""
    loaded = load(one.design.source, one.design.settings)
    return serve_command(loaded.scenario, loaded.base_dir)


def counts(answers: Sequence[Answer], language: Language) -> str:
    """How many claims have which verdict."""
    by = {verdict: sum(one.ruling.verdict == verdict for one in answers) for verdict in Verdict}
    told = ", ".join(f"{count} {VERDICTS[language][verdict]}" for verdict, count in by.items() if count)
    return TEXT[language]["counts"].format(n=len(answers), counts=told)
