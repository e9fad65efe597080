# Turns the catalogue's JSON files into one C++ source: cmake -DOUT=... -DROOT=... -P embed_catalogue.cmake
# Each file becomes a raw string literal (with its length, which clang does not count in so long a text) named by its path below ROOT ("schemas/text-generation.json").
file(GLOB_RECURSE files RELATIVE ${ROOT} ${ROOT}/*.json)
list(SORT files)
set(text "#include \"catalogue/builtin.h\"\n\nnamespace verge::catalogue {\nnamespace {\nusing namespace std::string_view_literals;\n\nconstexpr BuiltinFile kFiles[] = {\n")
foreach(name IN LISTS files)
  file(READ ${ROOT}/${name} content)
  string(APPEND text "    {\"${name}\", R\"__verge__(${content})__verge__\"sv},\n")
endforeach()
string(APPEND text "};\n}  // namespace\n\nstd::span<const BuiltinFile> builtin_files() { return kFiles; }\n\n}  // namespace verge::catalogue\n")
file(WRITE ${OUT} "${text}")
