# What `cmake --install` puts in place: libraries, headers, a CMake package with one component for
# each library, and one pkg-config module for each: mais (mais::mais), mais-core, mais-<component>.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

get_property(components GLOBAL PROPERTY MAIS_COMPONENTS)
list(TRANSFORM components PREPEND mais_ OUTPUT_VARIABLE libraries)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/mais)

install(TARGETS ${libraries} EXPORT mais-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/mais DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.hpp")
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(EXPORT mais-targets NAMESPACE mais:: DESTINATION ${package_dir})

set(MAIS_COMPONENT_FACTS "")
foreach(component IN LISTS components)
  foreach(fact NEEDS PACKAGES PKG_CONFIG)
    get_property(value GLOBAL PROPERTY MAIS_${component}_${fact})
    string(APPEND MAIS_COMPONENT_FACTS "set(mais_${component}_${fact} ${value})\n")
  endforeach()
endforeach()
list(JOIN components " " MAIS_INSTALLED_COMPONENTS)
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/mais-config.cmake.in
  ${PROJECT_BINARY_DIR}/mais-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/mais-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/mais-config.cmake ${PROJECT_BINARY_DIR}/mais-config-version.cmake
  DESTINATION ${package_dir})

# The pkg-config modules find their prefix from where they lie, so an installed tree can be moved.
set(module_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH MAIS_PC_PREFIX /prefix/${module_dir} /prefix)
foreach(component IN LISTS components)
  foreach(fact NEEDS PKG_CONFIG PKG_FLAGS)
    get_property(${fact} GLOBAL PROPERTY MAIS_${component}_${fact})
  endforeach()
  set(requires ${NEEDS})
  list(TRANSFORM requires PREPEND mais-)
  list(TRANSFORM requires REPLACE "^mais-mais$" mais)
  list(JOIN requires " " MAIS_PC_REQUIRES)
  string(APPEND MAIS_PC_REQUIRES " ${PKG_CONFIG}")
  string(REPLACE ";" " " MAIS_PC_REQUIRES "${MAIS_PC_REQUIRES}")
  list(JOIN PKG_FLAGS " " MAIS_PC_FLAGS)
  set(MAIS_PC_LIBRARY mais_${component})
  set(MAIS_PC_NAME mais-${component})
  if(component STREQUAL "mais")
    set(MAIS_PC_NAME mais)
  endif()
  configure_file(${PROJECT_SOURCE_DIR}/cmake/module.pc.in ${PROJECT_BINARY_DIR}/${MAIS_PC_NAME}.pc
    @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${MAIS_PC_NAME}.pc DESTINATION ${module_dir})
endforeach()
