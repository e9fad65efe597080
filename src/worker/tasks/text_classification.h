// Text classification and reranking: protocol/tasks/text_classification.h.
#pragma once

#include "worker/tasks/table.h"
