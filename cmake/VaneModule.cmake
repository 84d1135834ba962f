# What has threads is tested a second time by the programs of a ThreadSanitizer build, where one is named (./dev test):
# the tests are called tsan.X, and both kinds count in one ctest run.
set(VANE_TSAN_DIR "" CACHE PATH "a build of the preset tsan, for the tests called tsan.*")
set(VANE_THREADED_MODULES base net store server client agents sim cli)
set(VANE_TSAN_OPTIONS "suppressions=${CMAKE_SOURCE_DIR}/tests/tsan.supp:history_size=4:second_deadlock_stack=1")

# vane_module(NAME DEPS other vane modules... LIBS external targets... DIRS extra subfolders...)
#   makes library vane_NAME of every *.c in the folder (and DIRS) except *_test.c, *_main.c and
#   *_fuzz.c; the test binary NAME-test of every *_test.c, registered with ctest one entry a file;
#   and, with VANE_FUZZ, one fuzz-X program for each X_fuzz.c.
function(vane_module name)
  cmake_parse_arguments(M "" "" "DEPS;LIBS;DIRS" ${ARGN})
  set(globs ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
  foreach(d ${M_DIRS})
    list(APPEND globs ${CMAKE_CURRENT_SOURCE_DIR}/${d}/*.c)
  endforeach()
  file(GLOB all CONFIGURE_DEPENDS ${globs})
  set(sources ${all})
  list(FILTER sources EXCLUDE REGEX "_(test|main|fuzz)\\.c$")
  set(tests ${all})
  list(FILTER tests INCLUDE REGEX "_test\\.c$")
  set(fuzzers ${all})
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.c$")

  add_library(vane_${name} STATIC ${sources})
  set(deps "")
  foreach(d ${M_DEPS})
    list(APPEND deps vane_${d})
  endforeach()
  target_link_libraries(vane_${name} PUBLIC ${deps} ${M_LIBS} Threads::Threads)

  if(VANE_TESTS AND tests)
    add_executable(${name}-test ${tests} ${CMAKE_SOURCE_DIR}/tests/test_main.c)
    target_link_libraries(${name}-test PRIVATE vane_${name} vane_base)
    target_link_options(${name}-test PRIVATE -Wl,--wrap=json_loadb) # see tests/test_main.c
    foreach(t ${tests})
      get_filename_component(stem ${t} NAME_WE)
      add_test(NAME unit.${name}.${stem} COMMAND ${name}-test --file ${stem}.c)
      set_tests_properties(unit.${name}.${stem} PROPERTIES TIMEOUT 300
        ENVIRONMENT "VANE_DATA_DEFAULT=${CMAKE_SOURCE_DIR}/tests/data")
      if(VANE_TSAN_DIR AND name IN_LIST VANE_THREADED_MODULES)
        add_test(NAME tsan.${name}.${stem} COMMAND ${VANE_TSAN_DIR}/${name}/${name}-test --file ${stem}.c)
        set_tests_properties(tsan.${name}.${stem} PROPERTIES TIMEOUT 300
          ENVIRONMENT "VANE_DATA_DEFAULT=${CMAKE_SOURCE_DIR}/tests/data;TSAN_OPTIONS=${VANE_TSAN_OPTIONS}")
      endif()
    endforeach()
  endif()
  if(VANE_FUZZ)
    foreach(f ${fuzzers})
      get_filename_component(stem ${f} NAME_WE)
      string(REGEX REPLACE "_fuzz$" "" stem ${stem})
      add_executable(fuzz-${stem} ${f})
      target_link_libraries(fuzz-${stem} PRIVATE vane_${name})
      target_link_options(fuzz-${stem} PRIVATE -fsanitize=fuzzer)
    endforeach()
  endif()
endfunction()

# vane_program(NAME MAIN file_main.c DEPS modules...): an installed executable.
function(vane_program name)
  cmake_parse_arguments(P "" "MAIN" "DEPS;LIBS" ${ARGN})
  add_executable(${name} ${P_MAIN})
  foreach(d ${P_DEPS})
    target_link_libraries(${name} PRIVATE vane_${d})
  endforeach()
  target_link_libraries(${name} PRIVATE ${P_LIBS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
  install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endfunction()
