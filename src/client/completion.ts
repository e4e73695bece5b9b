/** Shell completion, made from the commands and options of the program. */
import type { Command } from 'commander'

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

interface Words {
  readonly name: string
  readonly description: string
  readonly options: readonly OptionWords[]
}

interface OptionWords {
  readonly flag: string
  readonly description: string
  readonly choices: readonly string[]
  /** Whether a value follows, and it is a file. */
  readonly takesFile: boolean
}

/** A script that the shell evaluates: `source <(gatehouse completion bash)`. */
export function completionScript(shell: Shell, program: Command): string {
  const commands = program.commands
    .filter((command) => command.name() !== 'help')
    .map((command): Words => ({
      name: command.name(),
      description: command.summary() || command.description(),
      options: command.options.map((option) => ({
        flag: option.long ?? option.flags,
        description: option.description,
        choices: option.argChoices ?? [],
        takesFile: option.flags.includes('<file>'),
      })),
    }))
  return { bash, zsh, fish }[shell](commands)
}

function bash(commands: readonly Words[]): string {
  const cases = commands.map(
    ({ name, options }) =>
      `    ${name}) words=${quoted(options.map(({ flag }) => flag).join(' '))} ;;`,
  )
  return `# bash completion for gatehouse and kubectl-gatehouse
_gatehouse() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" words=''
  COMPREPLY=()
  if [[ $COMP_CWORD -eq 1 ]]; then
    COMPREPLY=($(compgen -W ${quoted(commands.map(({ name }) => name).join(' '))} -- "$current"))
    return
  fi
  case "\${COMP_WORDS[1]} $previous" in
${commands.flatMap(valueCases).join('\n')}
  esac
  case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _gatehouse gatehouse kubectl-gatehouse
`
}

/** An option of one name may have other values in another command. */
function valueCases({ name, options }: Words): readonly string[] {
  return options.flatMap(({ flag, choices, takesFile }) => {
    const values = choices.length > 0 ? `-W ${quoted(choices.join(' '))}` : takesFile ? '-f' : ''
    if (values === '') return []
    const pattern = quoted(`${name} ${flag}`)
    return `    ${pattern}) COMPREPLY=($(compgen ${values} -- "$current")); return ;;`
  })
}

function zsh(commands: readonly Words[]): string {
  const described = commands.map(
    ({ name, description }) => `    ${quoted(`${name}:${description}`)}`,
  )
  const cases = commands.map(({ name, options }) => {
    const lines = options.map((option) => `      ${quoted(zshOption(option))}`)
    return `  ${name})\n    _arguments \\\n${[...lines, "      '*:URL:'"].join(' \\\n')}\n    ;;`
  })
  return `#compdef gatehouse kubectl-gatehouse
_gatehouse() {
  local -a commands
  commands=(
${described.join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command="$words[2]"
  shift words
  (( CURRENT -= 1 ))
  case "$command" in
${cases.join('\n')}
  esac
}
if [ "$funcstack[1]" = "_gatehouse" ]; then
  _gatehouse "$@"
else
  compdef _gatehouse gatehouse kubectl-gatehouse
fi
`
}

function zshOption({ flag, description, choices, takesFile }: OptionWords): string {
  const text = description.replaceAll(/[[\]:\\]/g, (character) => `\\${character}`)
  const value =
    choices.length > 0 ? `:value:(${choices.join(' ')})` : takesFile ? ':file:_files' : ''
  return `${flag}[${text}]${value}`
}

function fish(commands: readonly Words[]): string {
  const names = commands.map(({ name }) => name).join(' ')
  const lines = ['gatehouse', 'kubectl-gatehouse'].flatMap((program) => [
    `complete -c ${program} -f`,
    ...commands.flatMap(({ name, description, options }) => [
      `complete -c ${program} -n ${quoted(`not __fish_seen_subcommand_from ${names}`)} -a ${name} -d ${quoted(description)}`,
      ...options.map((option) => fishOption(program, name, option)),
    ]),
  ])
  return `# fish completion for gatehouse and kubectl-gatehouse\n${lines.join('\n')}\n`
}

function fishOption(
  program: string,
  command: string,
  { flag, description, choices, takesFile }: OptionWords,
): string {
  const condition = quoted(`__fish_seen_subcommand_from ${command}`)
  const value =
    choices.length > 0 ? ` -x -a ${quoted(choices.join(' '))}` : takesFile ? ' -r -F' : ''
  return `complete -c ${program} -n ${condition} -l ${flag.replace(/^--/, '')}${value} -d ${quoted(description)}`
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
