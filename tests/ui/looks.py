"""What a browser is asked about how a page looks: each answers with what is wrong, so an empty list is good."""

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

_CLIPPED = """() => [...document.querySelectorAll('.js-plotly-plot')].flatMap(plot => {
    const frame = plot.getBoundingClientRect()
    const texts = [...plot.querySelectorAll('.xtick text, .ytick text, text[class$=title], .legendtext')]
        .filter(one => one.textContent.trim())
    const boxes = texts.map(one => [one.textContent, one.getBoundingClientRect()])
    const out = boxes.filter(([_, box]) => box.left < frame.left - 1 || box.right > frame.right + 1
        || box.top < frame.top - 1 || box.bottom > frame.bottom + 1).map(([text]) => `clipped: ${text}`)
    const touch = (a, b) => a.left + 1 < b.right && b.left + 1 < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom
    const over = boxes.flatMap(([text, a], i) =>
        boxes.slice(i + 1).filter(([_, b]) => touch(a, b)).map(([other]) => `${text} on ${other}`))
    return [...out, ...over]
})"""

_UNDRAWN = """() => [...document.querySelectorAll('.js-plotly-plot')].flatMap(plot => {
    const box = plot.getBoundingClientRect(), wrong = []
    if (box.width < 100 || box.height < 100) wrong.push('no size')
    if (!plot.querySelector('.scatterlayer path, .ternarylayer path, .barlayer path, .heatmaplayer image'))
        wrong.push('nothing drawn')
    if (!plot.querySelector('text[class$=title]')?.textContent) wrong.push('no axis title')
    return wrong
})"""

_PALE = """() => {
    const rgba = text => (text.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number)
    const over = ([r, g, b, a = 1], under) => [r, g, b].map((one, i) => one * a + under[i] * (1 - a))
    const behind = one => {
        const layers = []
        for (let at = one; at; at = at.parentElement) {
            const colour = rgba(getComputedStyle(at).backgroundColor)
            layers.push(colour)
            if ((colour[3] ?? 1) === 1) break
        }
        return layers.reverse().reduce((under, layer) => over(layer, under), [255, 255, 255])
    }
    const light = colour => colour.map(one => one / 255).map(one => one <= 0.03928 ? one / 12.92
        : ((one + 0.055) / 1.055) ** 2.4).reduce((sum, one, i) => sum + one * [0.2126, 0.7152, 0.0722][i], 0)
    const fades = one => { let all = 1; for (let at = one; at; at = at.parentElement)
        all *= Number(getComputedStyle(at).opacity); return all }
    // Signs are no text, and a slider's value stands above its parent, the thumb.
    const exempt = '[disabled], .hoverlayer, [aria-hidden=true]'
        + ', [data-testid=stIconMaterial], [data-testid=stSliderThumbValue]'
    const pale = []
    for (const one of document.querySelectorAll('p, h1, h2, h3, label, button, span, code, td, th, text')) {
        if (![...one.childNodes].some(node => node.nodeType === 3 && node.textContent.trim())) continue
        if (!one.checkVisibility({visibilityProperty: true}) || one.closest(exempt)) continue
        const style = getComputedStyle(one), under = behind(one)
        const ink = rgba(one.tagName === 'text' ? style.fill : style.color)
        const shown = over([ink[0], ink[1], ink[2], (ink[3] ?? 1) * fades(one)], under)
        const [dark, bright] = [light(shown), light(under)].sort((a, b) => a - b)
        if (!fades(one)) continue
        const contrast = (bright + 0.05) / (dark + 0.05)
        if (contrast < 4.5) pale.push(`${contrast.toFixed(1)}: ${one.textContent.trim().slice(0, 40)}`)
    }
    return pale
}"""

_NO_NUMBER = """() => (document.body.innerText.match(/\\b(NaN|undefined|null|Infinity|inf|None)\\b/g) || [])"""


_ALL = (_CLIPPED, _UNDRAWN, _PALE, _NO_NUMBER)


def wrong(page: "Page", patience_s: float = 10.0) -> list[str]:
    """Say what is wrong once the page has been drawn: after a change of colours it takes a moment.

    That is: texts of charts that are cut off or lie on each other; charts without a size, a mark or an axis title;
    texts with a contrast below 4.5; words that only a defect writes.
    """
    until = time.monotonic() + patience_s
    while (found := [one for script in _ALL for one in page.evaluate(script)]) and time.monotonic() < until:
        page.wait_for_timeout(300)
    return found
