# What belongs on an operator's host, below CMAKE_INSTALL_PREFIX. The manual pages are made by the program that is installed.
include(GNUInstallDirs)

install(TARGETS lockstep RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES completions/lockstep.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME lockstep)
install(FILES completions/_lockstep DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
install(FILES completions/lockstep.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(DIRECTORY docs/schema DESTINATION ${CMAKE_INSTALL_DATADIR}/lockstep)
install(DIRECTORY runbooks DESTINATION ${CMAKE_INSTALL_DATADIR}/lockstep FILES_MATCHING PATTERN "*.yaml")
install(DIRECTORY inventory/examples DESTINATION ${CMAKE_INSTALL_DATADIR}/lockstep)
install(FILES README.md CHANGELOG.md SECURITY.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs FILES_MATCHING PATTERN "*.md")

# They call /usr/bin/lockstep, so that they are the package's alone.
set(LOCKSTEP_UNIT_DIR "" CACHE STRING "Where systemd's units are installed; nowhere unless given")
if(LOCKSTEP_UNIT_DIR)
  install(DIRECTORY systemd/ DESTINATION ${LOCKSTEP_UNIT_DIR} FILES_MATCHING PATTERN "*.service" PATTERN "*.timer")
endif()

install(CODE "
  execute_process(COMMAND \"$<TARGET_FILE:lockstep>\" __man OUTPUT_VARIABLE pages COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL \"[^\\n]+\" pages \"\${pages}\")
  foreach(page IN LISTS pages)
    string(REGEX REPLACE \"^.*\\\\.\" \"\" section \"\${page}\")
    set(folder \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/man/man\${section}\")
    file(MAKE_DIRECTORY \"\${folder}\")
    message(STATUS \"Installing: \${folder}/\${page}\")
    execute_process(COMMAND \"$<TARGET_FILE:lockstep>\" __man \"\${page}\" OUTPUT_FILE \"\${folder}/\${page}\" COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
")
