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

# What makes a mistake of ours harder to use: it reads what strangers write, and works as root. Tests
# `hardening` and tests/hardened look at the binary. The sanitizers see more, and have libraries of
# their own for that.
option(LOCKSTEP_HARDEN "Compile and link with what the toolchain has against misuse of memory" ON)
include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)  # of executables too: PIE
if(LOCKSTEP_HARDEN)
  include(CheckCXXCompilerFlag)
  foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection)
    string(MAKE_C_IDENTIFIER "lockstep_has${flag}" has)
    check_cxx_compiler_flag(${flag} ${has})  # control-flow protection is x86's alone
    if(${has})
      target_compile_options(lockstep_options INTERFACE ${flag})
    endif()
  endforeach()
  if(NOT LOCKSTEP_SANITIZE)
    # Does nothing without optimisation, and glibc warns of that. 3 is GCC 12's and later; what is older takes it for 2.
    target_compile_options(lockstep_options INTERFACE
      $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE> $<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=3>)
  endif()
  target_link_options(lockstep_options INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
endif()
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
