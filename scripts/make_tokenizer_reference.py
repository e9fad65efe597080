#!/usr/bin/env python3
"""Trains tiny tokenizers of every kind with the reference libraries and records what they make of some texts.

usage: make_tokenizer_reference.py OUT_FOLDER      (needs: pip install tokenizers sentencepiece)

Writes OUT_FOLDER/tokenizer_json.json, a list of {name, tokenizer, cases: [{text, ids, special_ids, decoded}]}, and
OUT_FOLDER/NAME.model with NAME.model.json beside it ([{text, ids, decoded}]).
"""
import json
import os
import sys
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ENGLISH = """The quick brown fox jumps over the lazy dog. Serverless computing runs your functions without servers to manage.
Hello, world! I'll say we've seen that they're here; don't you think so? It's 3.14159 or 2,718 and 1000000 more.
def add(a, b):
    return a + b
if x != 10:
\t\tpass
for (int i = 0; i < count; ++i) { total += values[i]; }
A model reads tokens and writes tokens. Tokens are words, parts of words, spaces, numbers and signs.
The workers of the cluster take the requests of the clients; the router chooses the nearest one with the model."""
OTHERS = ["Привет, как дела? Это проверка слов.", "你好，世界。今天天气很好。", "안녕하세요 세계", "naïve café — “quotes” … ½ ²",
          "こんにちは世界", "مرحبا بالعالم", "हिन्दी में", "Führer Straße ÄÖÜ"]
CORPUS = ENGLISH.split("\n") * 4 + OTHERS * 6

TEXTS = ["", " ", "  ", "\n", "\t", "a", "Hello, world!", " leading and trailing  ", "The year 2024 had 366 days; pi is 3.14159.",
         "I'll say we've DON'T they're O'Neil's", "a\n\n\nb\r\nc\t\td     e", "Привет, как дела?", "ПРИВЕТ привет ПриВет", "你好，世界。",
         "안녕하세요 세계", "こんにちは", "naïve café — “quotes” … ½ ² ① Ⅷ", "e\u0301 é İstanbul ß ﬁ Ａ１２", "\U0001F600\U0001F44D\U0001F3FD emoji",
         "x\u00a0y\u3000z\u2028w\u200bv", "<begin>text<end> <tool> foo bar  zz 1zz zz. <mask> x", "</s><unk><pad>", "1,234,567 00000000 ٣٤٥",
         "foo(bar)==baz[0] && snake_case CamelCase", "▁▁ literal ▁", "\x01\x7f control", "https://example.org/a?b=c&d=e#f", "हिन्दी में ไทย",
         "a b  c   d    e     f", "don\u2019t", "tail "]


def bpe(normalizer, pre_tokenizer, decoder, processor=None, model=None, trainer=None):
    tokenizer = Tokenizer(model or models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder
    arguments = dict(vocab_size=500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<begin>", "<end>"])
    arguments.update(trainer or {})
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(**arguments))
    if processor:
        tokenizer.post_processor = processor
    return tokenizer


def edited(tokenizer, edit):
    document = json.loads(tokenizer.to_str())
    edit(document)
    return Tokenizer.from_str(json.dumps(document))


def json_tokenizers():
    byte_level = pre_tokenizers.ByteLevel
    split = pre_tokenizers.Split
    llama3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    begin = processors.TemplateProcessing(single="<begin> $A", special_tokens=[("<begin>", 0)])
    tokenizer = bpe(None, pre_tokenizers.Sequence([split(Regex(llama3), "isolated"), byte_level(add_prefix_space=False, use_regex=False)]),
                    decoders.ByteLevel(), processors.Sequence([processors.ByteLevel(trim_offsets=False), begin]), models.BPE(ignore_merges=True))
    tokenizer.add_tokens([AddedToken("foo bar", lstrip=True, rstrip=True), AddedToken("zz", single_word=True), "<tool>"])
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    yield "bpe_llama3", tokenizer
    yield "bpe_falcon", bpe(None, pre_tokenizers.Sequence([pre_tokenizers.Punctuation("contiguous"), byte_level(add_prefix_space=False),
                                                          pre_tokenizers.Digits(), split(Regex("[0-9][0-9][0-9]"), "isolated")]),
                            decoders.ByteLevel())
    yield "bpe_roberta", bpe(normalizers.NFC(), byte_level(add_prefix_space=True), decoders.ByteLevel(),
                             processors.RobertaProcessing(("<end>", 1), ("<begin>", 0)))
    yield "bpe_digits", bpe(None, pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level(add_prefix_space=False)]),
                            decoders.ByteLevel())
    escape = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    unescape = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    llama2 = bpe(escape, split("▁", "merged_with_next"), unescape, None, models.BPE(unk_token="<unk>"),
                 dict(initial_alphabet=[], limit_alphabet=90, special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)],
                      vocab_size=700))

    def to_llama2(document):
        document["added_tokens"] = [t for t in document["added_tokens"] if not t["content"].startswith("<0x")]
        document["pre_tokenizer"] = None
        document["model"].update(byte_fallback=True, fuse_unk=True)

    def metaspace(scheme, do_split, **model):
        def edit(document):
            to_llama2(document)
            space = dict(type="Metaspace", replacement="▁", prepend_scheme=scheme, split=do_split)
            document.update(normalizer=None, pre_tokenizer=space, decoder=space)
            document["model"].update(byte_fallback=False, **model)
        return edit

    yield "bpe_llama2", edited(llama2, to_llama2)
    yield "bpe_metaspace_first", edited(llama2, metaspace("first", False))
    yield "bpe_metaspace_always", edited(llama2, metaspace("always", True, fuse_unk=False))
    yield "bpe_clip", bpe(normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]),
                          pre_tokenizers.Sequence([split(Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True),
                                                   byte_level(add_prefix_space=False, use_regex=False)]),
                          decoders.Sequence([decoders.ByteLevel(), decoders.BPEDecoder("</w>")]), None,
                          models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"), dict(special_tokens=["<unk>"], end_of_word_suffix="</w>"))
    word_piece = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    word_piece.normalizer = normalizers.BertNormalizer()
    word_piece.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    word_piece.decoder = decoders.WordPiece(cleanup=False)
    word_piece.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=500, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"]))
    word_piece.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    yield "wordpiece_uncased", word_piece
    word_piece.normalizer = normalizers.BertNormalizer(lowercase=False)
    word_piece.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    yield "wordpiece_cased", word_piece
    word_piece.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Strip(), normalizers.Lowercase()])
    word_piece.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("isolated"),
                                                        pre_tokenizers.Digits(individual_digits=True)])
    yield "wordpiece_sequence", word_piece
    word_piece.normalizer = None
    word_piece.pre_tokenizer = pre_tokenizers.Whitespace()
    yield "wordpiece_whitespace", word_piece
    for behavior in ["removed", "merged_with_previous", "merged_with_next", "contiguous", "isolated"]:
        word_piece.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Nmt()])
        word_piece.pre_tokenizer = pre_tokenizers.Sequence([split(Regex(r"[\s,.]|\d"), behavior), pre_tokenizers.CharDelimiterSplit("x"),
                                                            pre_tokenizers.Punctuation(behavior)])
        yield "wordpiece_" + behavior, word_piece
    for name, fallback in [("unigram", False), ("unigram_bytes", True)]:
        unigram = Tokenizer(models.Unigram())
        unigram.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
        unigram.pre_tokenizer = pre_tokenizers.Metaspace()
        unigram.decoder = decoders.Metaspace()
        special = ["<pad>", "</s>", "<unk>"] + ([f"<0x{i:02X}>" for i in range(256)] if fallback else [])
        unigram.train_from_iterator(CORPUS, trainers.UnigramTrainer(vocab_size=300 + 256 * fallback, special_tokens=special, unk_token="<unk>"))
        unigram.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])

        def edit(document, fallback=fallback):
            document["model"]["byte_fallback"] = fallback
            document["added_tokens"] = [t for t in document["added_tokens"] if not t["content"].startswith("<0x")]

        yield name, edited(unigram, edit)
    word_level = Tokenizer(models.WordLevel(unk_token="<unk>"))
    word_level.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    word_level.train_from_iterator(CORPUS, trainers.WordLevelTrainer(vocab_size=100, special_tokens=["<unk>"]))
    yield "wordlevel", word_level


def write_json(folder):
    entries = []
    for name, tokenizer in json_tokenizers():
        cases = []
        for text in TEXTS:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            cases.append(dict(text=text, ids=ids, special_ids=tokenizer.encode(text).ids, decoded=tokenizer.decode(ids, skip_special_tokens=False)))
        entries.append(dict(name=name, tokenizer=json.loads(tokenizer.to_str()), cases=cases))
    with open(os.path.join(folder, "tokenizer_json.json"), "w", encoding="utf8") as file:
        file.write("[\n" + ",\n".join(json.dumps(e, ensure_ascii=False, separators=(",", ":")) for e in entries) + "\n]\n")


def write_sentencepiece(folder):
    kinds = {
        "bpe_llama": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, vocab_size=700),
        "bpe_user": dict(model_type="bpe", add_dummy_prefix=False, byte_fallback=True, split_digits=True, normalization_rule_name="identity",
                         remove_extra_whitespaces=False, user_defined_symbols=["\n", "\n\n", "▁▁", "▁▁▁", "<tool>", "foo"], vocab_size=700),
        "bpe_clean": dict(model_type="bpe", normalization_rule_name="identity", vocab_size=400),
        "unigram_t5": dict(model_type="unigram", vocab_size=170),
        "unigram_bytes": dict(model_type="unigram", byte_fallback=True, user_defined_symbols=["<tool>", "foo"],
                              normalization_rule_name="identity", vocab_size=430),
        "unigram_suffix": dict(model_type="unigram", treat_whitespace_as_suffix=True, normalization_rule_name="identity", vocab_size=170),
    }
    for name, options in kinds.items():
        with tempfile.TemporaryDirectory() as scratch:
            corpus = os.path.join(scratch, "corpus.txt")
            with open(corpus, "w", encoding="utf8") as file:
                file.write("\n".join(CORPUS))
            prefix = os.path.join(scratch, name)
            sentencepiece.SentencePieceTrainer.train(input=corpus, model_prefix=prefix, minloglevel=2, character_coverage=0.98, **options)
            with open(prefix + ".model", "rb") as file:
                model = file.read()
        variants = {name: model}
        if name in ("bpe_clean", "unigram_bytes"):  # with some pieces marked unused
            proto = sentencepiece_model_pb2.ModelProto.FromString(model)
            for index, piece in enumerate(proto.pieces):
                if piece.type == 1 and len(piece.piece) > 1 and index % 3 == 0:
                    piece.type = 5
            variants[name + "_unused"] = proto.SerializeToString()
        for variant, data in variants.items():
            processor = sentencepiece.SentencePieceProcessor(model_proto=data)
            cases = []
            for text in TEXTS:
                ids = processor.encode(text)
                cases.append(dict(text=text, ids=ids, decoded=None if processor.unk_id() in ids else processor.decode(ids)))
            with open(os.path.join(folder, variant + ".model"), "wb") as file:
                file.write(data)
            with open(os.path.join(folder, variant + ".model.json"), "w", encoding="utf8") as file:
                file.write("[\n" + ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases) + "\n]\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    os.makedirs(sys.argv[1], exist_ok=True)
    write_json(sys.argv[1])
    write_sentencepiece(sys.argv[1])
