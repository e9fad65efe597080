// Items of the Responses API: what clients send as input, what is kept and listed, and the messages
// of a chat that they are.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/tasks/as_chat.h"
#include "support/error.h"
#include "support/json.h"

namespace verge::api::responses {

struct Items {
  json::array list;
  std::vector<std::string> places;  // of each in the request, as a JSON pointer: "/input/3"
};

// `input` of a request: a text, or a list of items. Each gets the published form with type, id and
// status; `id_seed` makes ids of those that have none. Items of type item_reference stay as they
// are. Names without meaning are added to `ignored`, as "input.NAME". InvalidInput and
// UnsupportedParameter name the place.
Result<Items> read_input(const json::value& input, std::string_view id_seed,
                         std::vector<std::string>& ignored);

// The items as a chat. `instructions` come first; system messages that follow at once are joined to
// them, since templates take one at the beginning.
Result<Chat> to_chat(const std::optional<std::string>& instructions, const Items& items);

// "msg_…", "fc_…": the same for the same arguments, unlike for others.
std::string item_id(std::string_view prefix, std::string_view seed, size_t index);
// Of the item of this type that is the request's `index`th.
std::string input_item_id(std::string_view type, std::string_view seed, size_t index);

}  // namespace verge::api::responses
