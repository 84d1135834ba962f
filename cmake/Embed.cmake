# Writes file IN as `const unsigned char NAME[]` and `const unsigned long NAME_bytes` into OUT.
file(READ ${IN} hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR bytes "${digits} / 2")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," body "${hex}")
file(WRITE ${OUT} "const unsigned char ${NAME}[] = {\n${body}\n};\nconst unsigned long ${NAME}_bytes = ${bytes};\n")
