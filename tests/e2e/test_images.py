"""Image classification on every wire: the same answer from raw bytes, byte arrays and the binding's forms; bad pictures; a worker that lives on."""
import json, math, pathlib, struct, subprocess, urllib.parse, zlib
import pytest
from harness import ACCOUNT, DATA, MODELS, VERGE, Server

RESNET = DATA / "models/resnet20-cifar10"
EXPECTED = json.loads((RESNET / "expected.json").read_text())
RUN = f"{ACCOUNT}/run/@t/resnet20"
BINDING = {"cf-consn-model-id": "@t/resnet20", "cf-consn-sdk-version": "2.0.0"}
STAND_IN = MODELS / "@verge/efficientnet-lite0"
CAT = (RESNET / "cifar32-cat.png").read_bytes()


@pytest.fixture(scope="module")
def server():
    with Server("--stand-ins", models=[f"@t/resnet20={RESNET}"]) as s:
        yield s


def result(answer):
    status, _, text = answer
    assert status == 200, text
    return json.loads(text)["result"]


def best_score(logits):
    return 1 / sum(math.exp(v - max(logits)) for v in logits)


@pytest.mark.parametrize("case", EXPECTED, ids=[c["image"] for c in EXPECTED])
def test_scores_are_the_references(server, case):
    answer = result(server.post(RUN, (RESNET / case["image"]).read_bytes(), {"content-type": "image/png"}))
    assert len(answer) == 5 and set(answer[0]) == {"label", "score"}
    assert answer[0]["label"] == case["label"] and abs(answer[0]["score"] - best_score(case["logits"])) < 1e-4
    assert [a["score"] for a in answer] == sorted((a["score"] for a in answer), reverse=True)


def test_every_way_to_send_a_picture_gives_the_same(server):
    wanted = result(server.post(RUN, CAT, {"content-type": "image/png"}))
    for content_type in ("application/octet-stream", "application/x-www-form-urlencoded", "image/jpeg"):
        assert result(server.post(RUN, CAT, {"content-type": content_type})) == wanted
    assert result(server.post(RUN, {"image": list(CAT)})) == wanted
    assert result(server.post(RUN, {"image": {str(i): b for i, b in enumerate(CAT)}})) == wanted  # JSON.stringify of a Uint8Array
    status, _, text = server.post("/run?version=3", {"inputs": {"image": list(CAT)}, "options": {}}, BINDING)
    assert status == 200 and json.loads(text) == wanted
    others = urllib.parse.urlencode({"version": "3", "userInputs": "{}"})
    status, _, text = server.post("/run?" + others, CAT, {**BINDING, "content-type": "application/octet-stream"})
    assert status == 200 and json.loads(text) == wanted


def test_every_encoding_is_read(server):
    names = sorted(p for p in (DATA / "images").iterdir() if p.suffix in (".jpg", ".png", ".webp", ".gif", ".bmp"))
    assert len(names) > 40
    for path in names:
        assert len(result(server.post(RUN, path.read_bytes(), {"content-type": "image/x"}))) == 5, path


def wrapped(server, query):
    headers = {"MF-URL": "https://workers-binding.ai/run?version=3", **{f"MF-Header-{k}": v for k, v in BINDING.items()}, "MF-Header-content-type": "application/json"}
    status, _, text = server.post("/" + query, {"inputs": {"image": list(CAT)}, "options": {}}, headers)
    assert status == 200, text
    return json.loads(text)


def test_the_list_is_wrapped_on_request(server):
    plain = wrapped(server, "")
    assert isinstance(plain, list)
    assert wrapped(server, "?image_result=results") == {"results": plain}
    with Server("--image-result", "results", models=[f"@t/resnet20={RESNET}"]) as other:
        assert result(other.post(RUN, CAT, {"content-type": "image/png"})) == {"results": plain}
        assert wrapped(other, "") == {"results": plain}
        assert wrapped(other, "?image_result=array") == plain


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width, height, data):
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


BAD = [
    ("not an image", b"hello, world", "not an image"),
    ("a PDF", b"%PDF-1.7 something", "not an image"),
    ("a truncated picture", CAT[: len(CAT) // 2], "truncated"),
    ("50,000 x 50,000", png_of(50000, 50000, zlib.compress(b"\0" * 1000)), "50000 x 50000"),
    ("a bomb: 20,000 x 20,000 of zeros", png_of(20000, 20000, zlib.compress(b"\0" * (20001 * 200))), "20000 x 20000"),
    ("damaged pixels", png_of(100, 100, b"\x78\x9cnonsense"), "damaged"),
]


@pytest.mark.parametrize("name,body,word", BAD, ids=[b[0] for b in BAD])
def test_bad_pictures_are_refused(server, name, body, word):
    server.post(RUN, CAT, {"content-type": "image/png"})
    before = server.worker("@t/resnet20")
    status, _, text = server.post(RUN, body, {"content-type": "image/png"})
    error = json.loads(text)["errors"][0]
    assert status == 400 and error["code"] == 5006 and word in error["message"], text
    status, _, text = server.post("/run?version=3", {"inputs": {"image": list(body[:100000])}, "options": {}}, BINDING)
    assert status == 400 and json.loads(text)["internalCode"] == 5006
    assert result(server.post(RUN, CAT, {"content-type": "image/png"}))
    after = server.worker("@t/resnet20")
    assert before.get("pid") == after.get("pid")  # the same worker


@pytest.mark.parametrize("body,word", [({}, "image"), ({"image": "cat"}, "image"), ({"image": [1, 2, 300]}, "255"), ({"image": [1, "x"]}, "image"), ({"image": []}, "image"),
                                       ({"picture": [1, 2]}, "image"), ({"image": None}, "image")])
def test_bad_bodies_are_refused(server, body, word):
    status, _, text = server.post(RUN, body)
    assert status == 400 and json.loads(text)["errors"][0]["code"] == 5006 and word in text, text


def test_text_for_an_image_model_and_a_picture_for_a_text_model(server):
    status, _, text = server.post(RUN, {"prompt": "hi"})
    assert status == 400, text
    status, _, text = server.post("/v1/chat/completions", {"model": "@t/resnet20", "messages": [{"role": "user", "content": "x"}]})
    assert status in (400, 404), text


def test_boxes_are_pixels_of_the_original():
    folder = DATA / "reference/images/detr"
    expected = json.loads((folder / "expected.json").read_text())
    wanted = []
    for logits, (x, y, w, h) in zip(expected["logits"], expected["pred_boxes"]):
        total = sum(math.exp(v) for v in logits)
        score, label = max((math.exp(v) / total, f"thing {i}") for i, v in enumerate(logits[:-1]))
        if score > 0.5:
            wanted.append((score, label, [(x - w / 2) * 61, (y - h / 2) * 47, (x + w / 2) * 61, (y + h / 2) * 47]))
    wanted.sort(reverse=True)
    with Server(models=[f"@t/detr={folder}"]) as other:
        answer = result(other.post(f"{ACCOUNT}/run/@t/detr", (DATA / "images/rgb.png").read_bytes(), {"content-type": "image/png"}))
    assert [a["label"] for a in answer] == [label for _, label, _ in wanted]
    for got, (score, _, box) in zip(answer, wanted):
        assert abs(got["score"] - score) < 1e-3
        assert all(abs(got["box"][k] - int(v)) <= 1 for k, v in zip(("xmin", "ymin", "xmax", "ymax"), box))


@pytest.mark.skipif(not STAND_IN.exists(), reason="verge pull @verge/efficientnet-lite0 has not been run")
def test_the_stand_in_names_what_is_there(server):
    for case in json.loads((DATA / "expected/efficientnet-lite0.json").read_text())["pictures"]:
        top = case["crop-bicubic mean127 std128"]["top5"]
        status, headers, text = server.post(f"{ACCOUNT}/run/@cf/microsoft/resnet-50", (DATA / "images-real" / case["picture"]).read_bytes(), {"content-type": "image/jpeg"})
        assert status == 200 and headers["verge-substituted"] == "1" and headers["verge-model"] == "@verge/efficientnet-lite0"
        answer = json.loads(text)["result"]
        assert [t[1] in a["label"] for a, t in zip(answer, top)] == [True] * len(top)  # "tabby" in "tabby, tabby cat"
        assert all(abs(a["score"] - t[2]) < 1e-4 for a, t in zip(answer, top))


def test_the_command_line_answers_too():
    picture = ["--image", str(RESNET / "cifar32-cat.png")]
    out = subprocess.run([VERGE, "run", str(RESNET), "--json", *picture], capture_output=True, text=True)
    assert subprocess.run([VERGE, "run", str(RESNET), *picture], capture_output=True, text=True).stdout.split("\n")[0].endswith(" %  cat")
    assert out.returncode == 0 and json.loads(out.stdout)[0]["label"] == "cat", out.stderr
    bad = subprocess.run([VERGE, "run", str(RESNET), "--image", str(pathlib.Path(__file__))], capture_output=True, text=True)
    assert bad.returncode == 1 and "not an image" in bad.stderr
