// Which tokens end an answer, told from the vocabulary where the metadata forgot them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace verge::engine {

// True for the markers with which chat models of the known families end a turn or a text.
bool ends_turn(std::string_view token);

// Appends `id` unless it is negative, too large for a token or already there.
void add_stop_id(int64_t id, std::vector<int32_t>* stop_ids);

}  // namespace verge::engine
