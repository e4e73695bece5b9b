/** Reads the files of the transmitters of `authentication.securityEvents`. */
import { loadAccess } from '../authentication/oidc/issuer-access.ts'
import { filesNamedIn } from '../config/files.ts'
import { fieldName, type Path } from '../config/path.ts'
import { ConfigError, fileProblem, type ConfigProblem } from '../config/problem.ts'
import { readText } from '../config/read-text.ts'
import { transmitterOptions } from '../config/schema/security-events.ts'
import type { LoadedTransmitter, TransmitterOptions } from './transmitters.ts'

/** Those of the files that hold secrets. */
export function secretFilesOf({ push, poll, proxy }: TransmitterOptions): readonly string[] {
  return [...[push?.authorizationFile, poll?.authorizationFile], proxy?.credentialsFile].filter(
    (file) => file !== undefined,
  )
}

export function filesOf(options: TransmitterOptions): readonly string[] {
  return filesNamedIn(transmitterOptions, options)
}

/** @throws ConfigError with every problem found */
export function loadTransmitters(
  transmitters: readonly TransmitterOptions[],
): readonly LoadedTransmitter[] {
  const problems: ConfigProblem[] = []
  const access = loadAccess(
    transmitters.map((options) => ({ ...options, url: options.issuer })),
    problems,
  )
  const loaded = transmitters.map((options, i) => {
    const read = (method: 'push' | 'poll', file: string | undefined): string | undefined => {
      const path = [...TRANSMITTERS, i, method, 'authorizationFile']
      return file === undefined
        ? undefined
        : readAuthorization(file, path, (problem) => problems.push(problem))
    }
    const { push, poll } = options
    return {
      ...{ options, access: access.get(options.issuer) },
      push: push && { authorization: read('push', push.authorizationFile) },
      poll: poll && { url: poll.url, authorization: read('poll', poll.authorizationFile) },
    }
  })
  if (problems.length > 0) throw new ConfigError(problems)
  return loaded.filter(isComplete)
}

/** What is missing is a problem. */
function isComplete(
  one: Omit<LoadedTransmitter, 'access' | 'poll'> & {
    readonly access: LoadedTransmitter['access'] | undefined
    readonly poll: { readonly url: string; readonly authorization: string | undefined } | undefined
  },
): one is LoadedTransmitter {
  return (
    one.access !== undefined && (one.poll === undefined || one.poll.authorization !== undefined)
  )
}

const TRANSMITTERS = ['authentication', 'securityEvents', 'transmitters'] as const

function readAuthorization(
  file: string,
  path: Path,
  onProblem: (problem: ConfigProblem) => void,
): string | undefined {
  const add = (message: string, fix: string): void => {
    onProblem(fileProblem(file, message, fix, fieldName(path)))
  }
  const text = readText(file, add)
  if (text === undefined) return undefined
  const value = text.replace(/\r?\n$/, '')
  if (/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(value)) return value
  add(
    value === '' ? 'is empty' : 'is not one line of printable ASCII characters',
    'write the whole value of the Authorization header into it, such as "Bearer " and a random text',
  )
  return undefined
}
