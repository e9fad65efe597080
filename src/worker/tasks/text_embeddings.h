// Text embeddings: protocol/tasks/text_embeddings.h.
#pragma once

#include "worker/tasks/table.h"
