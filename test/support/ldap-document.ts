/** The examples of docs/ldap.md. */
import { parse } from 'yaml'

import { blocksOf } from './documents.ts'

interface Example {
  readonly authentication: {
    readonly issuers?: readonly { readonly url: string; readonly groupSource: GroupSource }[]
    readonly issuedCertificates?: { readonly directories: readonly Directory[] }
  }
}

interface GroupSource {
  readonly ldap: object
  readonly userClaim: string
}

type Directory = Readonly<Record<string, unknown>>

const blocks = (await blocksOf('ldap.md', '', 'yaml')).map((block) => parse(block) as object)

/** Each is a part of gatehouse.yaml. */
export const examples = blocks.filter((block) => 'authentication' in block) as readonly Example[]

/** The authentication.yaml. */
export const authenticationFile = blocks.find((block) => 'jwt' in block)

const isActiveDirectory = (example: Example): boolean => JSON.stringify(example).includes(',DC=')

/** The source of groups, and the directory of passwords. */
export function examplesFor(product: 'Active Directory' | 'OpenLDAP') {
  const own = examples.filter(
    (example) => isActiveDirectory(example) === (product === 'Active Directory'),
  )
  const [groupSource] = own.flatMap(({ authentication }) => authentication.issuers ?? [])
  const [directory] = own.flatMap(
    ({ authentication }) => authentication.issuedCertificates?.directories ?? [],
  )
  if (groupSource === undefined || directory === undefined) throw new Error('no such examples')
  return { groupSource: groupSource.groupSource, directory }
}
