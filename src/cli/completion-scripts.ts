/** Each asks the program itself for the candidates, so that they never fall behind it; files are the shell's own part. */
export const completionScripts: Readonly<Record<'bash' | 'zsh' | 'fish', string>> = {
  bash: `_gridferry() {
  local IFS=$'\\n'
  COMPREPLY=($(gridferry __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _gridferry gridferry
`,
  zsh: `#compdef gridferry
_gridferry() {
  local -a candidates
  candidates=(\${(f)"$(gridferry __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)"})
  if (( \${#candidates} )); then compadd -a candidates; else _files; fi
}
if (( $+functions[compdef] )); then compdef _gridferry gridferry; fi
`,
  fish: `function __gridferry_complete
  set -l words (commandline -opc) (commandline -ct)
  gridferry __complete -- $words[2..-1] 2>/dev/null
end
complete -c gridferry -a '(__gridferry_complete)'
`,
};
