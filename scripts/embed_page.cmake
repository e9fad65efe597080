# Builds the page (web/) and turns it into a C++ source: cmake -DROOT=… -DOUT=… -DSTAMP=… -P embed_page.cmake
# Where npm is not there or cannot be reached, the source says why and the program has no page. The stamp
# is written on success only, so that the next build tries again.
file(REMOVE ${STAMP})
get_filename_component(folder ${OUT} DIRECTORY)
execute_process(COMMAND ${ROOT}/web/build ${folder}/page ${folder}/page_files.cpp
  RESULT_VARIABLE failed OUTPUT_QUIET ERROR_VARIABLE reason)
if(failed)
  string(REGEX MATCH "[^\n]*\n*$" reason "${reason}")
  string(STRIP "${reason}" reason)
  message(WARNING "The program is built without its page: ${reason}")
  file(WRITE ${folder}/page_files.cpp "#include \"api/page.h\"

namespace verge::api {
std::span<const PageFile> page_files() { return {}; }
std::string_view page_absence() { return R\"__verge__(${reason})__verge__\"; }
}  // namespace verge::api
")
endif()
file(COPY_FILE ${folder}/page_files.cpp ${OUT} ONLY_IF_DIFFERENT)
if(NOT failed)
  file(TOUCH ${STAMP})
endif()
