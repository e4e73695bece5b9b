/** Checks of `authentication.issuedCertificates` that concern more than one field. */
import { valueAt, type Path } from '../path.ts'
import { addRepeated, has, type AddProblem } from './add-problem.ts'
import { checkServers } from './directory-servers.ts'
import {
  authorityPrefixes,
  directoryPrefixes,
  overlapOf,
  PREFIX_FIELDS,
} from './overlapping-prefixes.ts'

const PATH: Path = ['authentication', 'issuedCertificates']

/** Checks `authentication.issuedCertificates` and its directories. */
export function checkIssuedCertificates(raw: object, add: AddProblem): void {
  const issued = valueAt(raw, PATH)
  if (typeof issued !== 'object' || issued === null) return
  const [hasFile, hasCommand] = [has(issued, 'privateKeyFile'), has(issued, 'signCommand')]
  if (!hasFile && !hasCommand) {
    add(PATH, 'does not say how certificates are signed', 'set privateKeyFile, or signCommand')
  }
  if (hasFile && hasCommand) {
    add([...PATH, 'signCommand'], 'conflicts with privateKeyFile', 'keep one of the two')
  }
  const count = (field: string): number => {
    const list = valueAt(issued, [field])
    return Array.isArray(list) ? list.length : 0
  }
  if (count('issuers') > 0 && !has(raw, 'authentication', 'configFile')) {
    const fix = 'set authentication.configFile, or remove it'
    add([...PATH, 'issuers'], 'has no effect without authentication.configFile', fix)
  }
  if (count('issuers') + count('directories') === 0) {
    const fix = 'set issuers, or directories'
    add(PATH, 'does not say for which sign-ins certificates are issued', fix)
  }
  checkDirectories(raw, add)
}

function checkDirectories(raw: object, add: AddProblem): void {
  const list: Path = [...PATH, 'directories']
  const directories = valueAt(raw, list)
  if (!Array.isArray(directories)) return
  addRepeated(raw, list, 'name', (field, name) =>
    add(field, `${name} is listed twice`, 'give each directory a name of its own'),
  )
  directories.forEach((directory, i) => checkServers(directory, [...list, i], add))
  checkPrefixes(raw, list, add)
}

/** Those of issuers are checked with `authentication.configFile`. */
function checkPrefixes(raw: object, directories: Path, add: AddProblem): void {
  for (const field of PREFIX_FIELDS) {
    directoryPrefixes(raw, field).forEach((own, i, all) => {
      const message = overlapOf(own, [...authorityPrefixes(raw, field), ...all.slice(0, i)])
      if (message !== undefined) add([...directories, i, field], message, 'choose another prefix')
    })
  }
}
