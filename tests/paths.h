// Where tests find their files. Functions, not macros on the command line: the compiler's cache then
// serves the same test file in every checkout.
#pragma once

namespace verge {

// The folder tests/data and the root of the source tree, absolute, without a slash at the end.
const char* test_data_folder();
const char* source_folder();

}  // namespace verge
