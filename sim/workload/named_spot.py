"""Public recordings of spot markets by name: how many nodes a cluster had while it asked for more."""

from sim.workload.published import NamedTrace

BAMBOO_GIT = "https://raw.githubusercontent.com/uclasystem/bamboo"
BAMBOO = f"{BAMBOO_GIT}/main/traces"
BAMBOO_GCP = f"{BAMBOO_GIT}/eb21347c6d7b9bf1dda521c408140e0914d4907e/traces/gcloud"
PARCAE = "https://raw.githubusercontent.com/JF-D/Parcae/7cb3059bd3c6034dac69d30b062e67e2578622e3/aws/traces"

NSDI_23 = "Thorpe et al., Bamboo, NSDI 2023"
NSDI_24 = "Duan et al., Parcae, NSDI 2024"


def _bamboo(trace_id: str, url: str, form: str, sha256: str, size: int) -> NamedTrace:
    path = f"spot/bamboo/{url.rpartition('/')[2]}"
    return NamedTrace(trace_id, path, url, form, "MIT", NSDI_23, sha256, size)


def _parcae(trace_id: str, url: str, sha256: str, size: int) -> NamedTrace:
    path = f"spot/parcae/{url.rpartition('/')[2]}"
    return NamedTrace(trace_id, path, url, "parcae", "MIT", NSDI_24, sha256, size)


# Hashes: of the files as they were taken from the repositories, 2026-11-22. Of Parcae's segments, which differ by model
# in which node goes but not in how many, those of gpt-6.7b.
SPOT_TRACES = {
    trace.id: trace
    for trace in (
        _bamboo(
            "bamboo-p3",
            f"{BAMBOO}/p3-trace.csv",
            "bamboo",
            "0b7828fcd4637799590578287415d4d4bbb5e3cfef5fbaf23ca8e5b3ef6bdd68",
            7617,
        ),
        _bamboo(
            "bamboo-g4dn",
            f"{BAMBOO}/g4dn-trace.csv",
            "bamboo",
            "6a21d2003cfa16acfb65fb87b5521dd995c72f49a37900979eea177e853592eb",
            3335,
        ),
        _bamboo(
            "bamboo-a100",
            f"{BAMBOO_GCP}/a100x1-east1b.txt",
            "gcp",
            "cbd874201d07901a0bd3df1c4b5981b3193b51d45620b34802b28dca4f0e01b5",
            6700,
        ),
        _bamboo(
            "bamboo-v100",
            f"{BAMBOO_GCP}/v100x1-east1c.txt",
            "gcp",
            "3d8f0c0c8c088b38883913579e47c9d2823c0c739ba27dc81c7ab4c7ae783d35",
            36925,
        ),
        _parcae(
            "parcae-p3",
            f"{PARCAE}/p3.csv",
            "fea8616b71606371cc139de4beecc2961f99d10d58632cfd5f038b9411dd8909",
            3883,
        ),
        _parcae(
            "parcae-hh",
            f"{PARCAE}/gpt-6.7b/trace_hh_55_65.txt",
            "1b245979ddb74213eee947d6a8d505e5bc791a7962235d5172bd748b0519419b",
            10347,
        ),
        _parcae(
            "parcae-hl",
            f"{PARCAE}/gpt-6.7b/trace_hl_15_25.txt",
            "4421181580a3e99e8584a1b7c67f2aab6b055d196f85dd3971f4148e1591a423",
            10118,
        ),
        _parcae(
            "parcae-lh",
            f"{PARCAE}/gpt-6.7b/trace_lh_80_90.txt",
            "13a8331ad56efde22ca3bfe8bd7a9811f1cb25c26463b902b6a244c04483f36c",
            10142,
        ),
        _parcae(
            "parcae-ll",
            f"{PARCAE}/gpt-6.7b/trace_ll_10_11.txt",
            "8a9be267d770e73111f3703c05cb5a431a0f3f9aeee110cf722f3462cf4c73cb",
            9870,
        ),
    )
}
