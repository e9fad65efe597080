// Text classification, and reranking, which is classification of pairs.
//
// Request.params, normalised by api:
//   texts: [string]      at least one
//   query: string        each text is classified as a pair (query, text)
//
// Result: {"labels": [string], "scores": [[number, …], …]}: a row a text, a number a label. Softmax over the labels;
// of a model with one label (rerankers) the sigmoid of its score.
#pragma once

#include "worker/tasks/table.h"
