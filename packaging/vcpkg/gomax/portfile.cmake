# An overlay port (vcpkg install gomax --overlay-ports=packaging/vcpkg): it builds the tree that it lies in, with make
# and cargo.
# A process has one scheduler: programs and libraries share it.
vcpkg_check_linkage(ONLY_DYNAMIC_LIBRARY)
get_filename_component(SOURCE_PATH "${CURRENT_PORT_DIR}/../../.." ABSOLUTE)
set(TARGET_PATH "${CURRENT_BUILDTREES_DIR}/${TARGET_TRIPLET}-rel")

vcpkg_execute_required_process(
  COMMAND make build "CARGO_TARGET_DIR=${TARGET_PATH}"
  WORKING_DIRECTORY "${SOURCE_PATH}"
  LOGNAME "build-${TARGET_TRIPLET}-rel")
vcpkg_execute_required_process(
  COMMAND make install "CARGO_TARGET_DIR=${TARGET_PATH}" "DESTDIR=${CURRENT_PACKAGES_DIR}" PREFIX= LIBDIR=/lib
    INCLUDEDIR=/include "DOCDIR=/share/${PORT}/doc"
  WORKING_DIRECTORY "${SOURCE_PATH}"
  LOGNAME "install-${TARGET_TRIPLET}-rel")

file(REMOVE "${CURRENT_PACKAGES_DIR}/lib/libgomax.a")

# One library serves both kinds of builds: the C interface does not depend on the kind.
if(NOT VCPKG_BUILD_TYPE)
  file(COPY "${CURRENT_PACKAGES_DIR}/lib" DESTINATION "${CURRENT_PACKAGES_DIR}/debug")
  file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/lib/cmake")
endif()
vcpkg_cmake_config_fixup(CONFIG_PATH lib/cmake/gomax)
vcpkg_fixup_pkgconfig()
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE-MIT" "${SOURCE_PATH}/LICENSE-APACHE")
