"""GET /openapi.json: valid by a public validator, and good enough to generate a client that works."""
import json, subprocess, sys
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator


@pytest.fixture(scope="module")
def document(stories):
    return json.loads(stories.get("/openapi.json")[2])


def test_it_is_valid(document):
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


def test_a_generated_client_works(stories, document, tmp_path):
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    (tmp_path / "config.yaml").write_text("project_name_override: verge-client\npackage_name_override: verge_client\npost_hooks: []\n")
    made = subprocess.run([sys.executable, "-m", "openapi_python_client", "generate", "--path", "openapi.json", "--config", "config.yaml", "--fail-on-warning",
                           "--meta", "none", "--output-path", "verge_client"], cwd=tmp_path, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    program = """
import importlib, json, pkgutil, sys
import verge_client
from verge_client import Client
from verge_client.api.open_ai import create_chat_completion, create_embedding, list_models
from verge_client.api.workers_ai import run_model
from verge_client.api.server import get_readiness
import verge_client.models as m

base = sys.argv[1]
client = Client(base_url=base)
print(get_readiness.sync(client=client).status)
print(sorted(one.id for one in list_models.sync(client=client).data if one.id.startswith("@t/")))
chat = m.CreateChatCompletionBody.from_dict({"model": "@t/stories", "messages": [{"role": "user", "content": "Once"}], "max_tokens": 3, "temperature": 0})
answer = create_chat_completion.sync(client=client, body=chat)
print(answer.choices[0].finish_reason, answer.usage.completion_tokens)
vectors = create_embedding.sync(client=client, body=m.CreateEmbeddingBody.from_dict({"model": "@t/embedder", "input": ["a", "b"]}))
print(len(vectors.data))
wrong = create_chat_completion.sync(client=client, body=m.CreateChatCompletionBody.from_dict({"model": "@t/none", "messages": []}))
print(type(wrong).__name__, wrong.error.code)
inputs = m.TextEmbeddingsInputForm1.from_dict({"text": ["a", "b"]})
print(run_model.sync("test", "@t/embedder", client=client, body=inputs).to_dict()["result"]["shape"][0])
for module in pkgutil.walk_packages(verge_client.__path__, "verge_client."):
    importlib.import_module(module.name)
"""
    out = subprocess.run([sys.executable, "-c", program, stories.base], cwd=tmp_path, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    assert out.stdout.splitlines() == ["ready", "['@t/embedder', '@t/stories', '@t/stories-hub']", "length 3", "2", "OpenAiError model_not_found", "2"]
