# vane_install_libraries(modules...): the libraries that other programs may link, their headers under include/vane (so that
# `#include "decide/decide.h"` works there as it does here), and a package: find_package(Vane), Vane::decide.
include(CMakePackageConfigHelpers)

function(vane_install_libraries)
  set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Vane)
  foreach(name ${ARGN})
    set_target_properties(vane_${name} PROPERTIES EXPORT_NAME ${name})
    target_include_directories(vane_${name} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/vane>)
    target_compile_definitions(vane_${name} INTERFACE $<INSTALL_INTERFACE:_GNU_SOURCE>)
    install(TARGETS vane_${name} EXPORT VaneTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
    install(DIRECTORY ${CMAKE_SOURCE_DIR}/${name} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/vane COMPONENT library
            FILES_MATCHING PATTERN "*.h" PATTERN "*.def" PATTERN "testing.h" EXCLUDE PATTERN "examples" EXCLUDE)
  endforeach()
  install(EXPORT VaneTargets NAMESPACE Vane:: DESTINATION ${package_dir} COMPONENT library)
  configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/VaneConfig.cmake.in ${CMAKE_BINARY_DIR}/VaneConfig.cmake
                                INSTALL_DESTINATION ${package_dir})
  write_basic_package_version_file(${CMAKE_BINARY_DIR}/VaneConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${CMAKE_BINARY_DIR}/VaneConfig.cmake ${CMAKE_BINARY_DIR}/VaneConfigVersion.cmake
          DESTINATION ${package_dir} COMPONENT library)
endfunction()
