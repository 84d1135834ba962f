# Installs BUILD under WORK, builds APP against that alone, and runs it.
function(step)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result)
  if(result)
    message(FATAL_ERROR "${ARGN}: ${result}")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK}/prefix ${WORK}/app-build)
if(SANITIZE)
  string(APPEND C_FLAGS " -fsanitize=${SANITIZE}")
endif()
step(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
step(${CMAKE_COMMAND} -S ${APP} -B ${WORK}/app-build -G Ninja "-DCMAKE_PREFIX_PATH=${WORK}/prefix"
     -DCMAKE_C_COMPILER=${C_COMPILER} "-DCMAKE_C_FLAGS=${C_FLAGS}")
step(${CMAKE_COMMAND} --build ${WORK}/app-build)
step(${WORK}/app-build/choose)
