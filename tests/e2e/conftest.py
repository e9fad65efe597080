import pytest
from harness import DATA, STORIES, Server


@pytest.fixture(scope="session")
def stories():
    """The stories model from GGUF (@t/stories) and from the hub's layout (@t/stories-hub), and a tiny embedder."""
    with Server(models=[f"@t/stories={STORIES}/stories260K-f32.gguf", f"@t/stories-hub={STORIES}", f"@t/embedder={DATA}/models/tiny-embedder"]) as server:
        yield server
