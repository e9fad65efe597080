import pytest
from harness import DATA, SMOLLM, STORIES, Server, installed


@pytest.fixture(scope="session")
def stories():
    """The stories model from GGUF (@t/stories) and from the hub's layout (@t/stories-hub), and a tiny embedder."""
    with Server(models=[f"@t/stories={STORIES}/stories260K-f32.gguf", f"@t/stories-hub={STORIES}", f"@t/embedder={DATA}/models/tiny-embedder"]) as server:
        yield server


@pytest.fixture(scope="session")
def smollm():
    """A server of the models that are on this machine, SmolLM2 among them: the tests of typed answers, of calls and of the kits share it."""
    if not installed(SMOLLM):
        pytest.skip(f"{SMOLLM} is not on this machine (verge pull {SMOLLM})")
    with Server("--stand-ins") as server:
        yield server
