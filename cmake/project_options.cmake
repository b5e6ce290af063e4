# Flags and packages of the whole project. Every target of ours links lockstep_options (PRIVATE).
option(LOCKSTEP_TESTS "Build the tests" ON)
option(LOCKSTEP_WERROR "Warnings are errors" OFF)
option(LOCKSTEP_PRECOMPILE "Precompile what tests include: a build of them from nothing is quicker, and an #include that is missing goes unnoticed" OFF)
option(LOCKSTEP_UNITY "Compile the sources of a room together: a build from nothing takes a third of the time, one changed line more" OFF)
set(LOCKSTEP_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize=")
option(LOCKSTEP_FUZZ "Build the fuzzers, and the libraries so that libFuzzer sees which branches were taken; clang alone can" OFF)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

find_package(PkgConfig REQUIRED)
pkg_check_modules(LIBSSH2 REQUIRED IMPORTED_TARGET libssh2)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)
find_package(CURL REQUIRED)
find_package(PostgreSQL REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Boost REQUIRED COMPONENTS filesystem)
find_package(Threads REQUIRED)

add_library(lockstep_options INTERFACE)
target_include_directories(lockstep_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(lockstep_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast
  -Wnon-virtual-dtor -Woverloaded-virtual -Wextra-semi -Wimplicit-fallthrough
  -Wno-missing-field-initializers  # designated initialisers name what matters, the rest is defaulted
  $<$<CXX_COMPILER_ID:GNU>:-Wlogical-op -Wduplicated-cond>
  $<$<BOOL:${LOCKSTEP_WERROR}>:-Werror>)
target_compile_definitions(lockstep_options INTERFACE $<$<CONFIG:Debug>:_GLIBCXX_ASSERTIONS>)
if(LOCKSTEP_SANITIZE)
  target_compile_options(lockstep_options INTERFACE -fsanitize=${LOCKSTEP_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(lockstep_options INTERFACE -fsanitize=${LOCKSTEP_SANITIZE})
endif()

# lockstep_unite(TARGET): with LOCKSTEP_UNITY its sources are compiled by rooms (folders), at most 12 at a time. What a
# room shares are headers, which are most of the work. Sources that include what clashes with others say so themselves
# (SKIP_UNITY_BUILD_INCLUSION).
function(lockstep_unite target)
  if(NOT LOCKSTEP_UNITY)
    return()
  endif()
  get_target_property(sources ${target} SOURCES)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  foreach(source IN LISTS sources)
    if(IS_ABSOLUTE ${source})
      continue()
    endif()
    get_filename_component(room ${source} DIRECTORY)
    string(MAKE_C_IDENTIFIER "room_${room}" room)
    math(EXPR number "${count_${room}} + 0")
    math(EXPR group "${number} / 12")
    math(EXPR count_${room} "${number} + 1")
    set_source_files_properties(${source} PROPERTIES UNITY_GROUP ${room}_${group})
  endforeach()
endfunction()

# lockstep_precompile(TARGET [HEADER...]): what nearly every source of a test includes. They have names of their own, and are not united.
function(lockstep_precompile target)
  if(LOCKSTEP_PRECOMPILE)
    target_precompile_headers(${target} PRIVATE
      <algorithm> <chrono> <functional> <map> <memory> <optional> <ranges> <sstream> <stop_token> <string> <vector>
      ${ARGN})
  endif()
endfunction()
