// Text embeddings: a vector a text, or with a query how close each text is to it.
//
// Request.params, normalised by api (absent = the default in brackets):
//   texts: [string]               at least one
//   query: string                 answer scores instead of vectors
//   pooling: "mean" | "cls" | "last"   [the model's own]
//   truncate: bool [true]         false: a text past the model's length is ContextOverflow
//   dimensions: int [the model's width]   the first so many numbers of each vector, brought to length 1 again
//
// Result:
//   {"shape": [texts, width], "data": base64 of little-endian f32, row by row, "pooling": "mean"} or
//   {"scores": [cosine of query and text, …]}
#pragma once

#include "worker/tasks/table.h"
