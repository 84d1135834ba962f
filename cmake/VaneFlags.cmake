# Compiler flags for every target, in one place.
add_compile_options(
  -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
  -Wcast-qual -Wwrite-strings -Wformat=2 -Wno-format-truncation -Wvla -Wundef -Wimplicit-fallthrough -Wswitch-enum
  -fno-strict-aliasing -fno-common -fstack-protector-strong -fPIC
  # Decisions must come out the same bit for bit on every machine (docs/architecture.md).
  -ffp-contract=off)
if(CMAKE_C_COMPILER_ID MATCHES "Clang")
  # Some of the above are gcc's own; and clang also looks for lost qualifiers inside the macros of OpenSSL and protobuf-c.
  add_compile_options(-Wno-unknown-warning-option -Wno-cast-qual)
endif()
add_compile_definitions(_GNU_SOURCE)
include_directories(${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_options(-O2 -g1)
  add_compile_definitions(_FORTIFY_SOURCE=2)
endif()
add_link_options(-Wl,-z,relro,-z,now -Wl,-z,noexecstack)
if(VANE_SANITIZE)
  add_compile_options(-fsanitize=${VANE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${VANE_SANITIZE})
endif()
if(VANE_TESTS)
  add_compile_definitions(VN_FAULTS=1)
endif()
if(VANE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
