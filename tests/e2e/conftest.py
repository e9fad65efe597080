import pytest
from harness import STORIES, Server


@pytest.fixture(scope="session")
def stories():
    """The stories model from GGUF (@t/stories) and from the hub's layout (@t/stories-hub)."""
    with Server(models=[f"@t/stories={STORIES}/stories260K-f32.gguf", f"@t/stories-hub={STORIES}"]) as server:
        yield server
