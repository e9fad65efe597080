"""Word error rate: edits (words put in, left out, changed) per word of what was said, case and punctuation aside."""
import re


def words(text): return re.sub(r"[^\w' ]", "", text.lower().replace("-", " ")).split()


def edits(said, heard):
    row = list(range(len(heard) + 1))
    for i, x in enumerate(said, 1):
        before, row[0] = row[0], i
        for j, y in enumerate(heard, 1): before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (x != y))
    return row[-1]


def rate(said, heard): return edits(words(said), words(heard)) / max(1, len(words(said)))
