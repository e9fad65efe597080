#!/usr/bin/env python3
"""Writes src/engine/formats/imagenet_labels.cpp: the names of ImageNet's 1,000 classes with their synonyms, as the published models
carry them ("tabby, tabby cat").
usage: imagenet_labels.py TIMM_WHEEL > src/engine/formats/imagenet_labels.cpp      (pip download --no-deps timm==1.0.20)"""
import json, sys, textwrap, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
read = lambda name: wheel.read(f"timm/data/_info/{name}").decode().splitlines()
lemmas = dict(line.split("\t", 1) for line in read("imagenet_synset_to_lemma.txt"))
labels = [lemmas[synset] for synset in read("imagenet_synsets.txt")]
assert len(labels) == 1000 and labels[281] == "tabby, tabby cat"
body = textwrap.fill(", ".join(json.dumps(label).replace(" ", "\0") for label in labels), 140, initial_indent="    ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False).replace("\0", " ")
print('''// WordNet's names of ImageNet's classes, with synonyms. Source: timm 1.0.20, data/_info (Apache-2.0), by scripts/imagenet_labels.py.
// Checkpoints of ImageNet classifiers carry no labels themselves.
#include "engine/formats/image_file.h"

namespace verge::engine {
namespace {

constexpr const char* kLabels[1000] = {
''' + body + ''',
};

}  // namespace
''')
