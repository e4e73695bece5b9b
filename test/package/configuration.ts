import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { writeKubeconfig } from '../../dev/parts/kubeconfig.ts'
import { createAuthority, issueCertificate } from '../../dev/parts/pki.ts'

/**
 * Writes a valid configuration with all files to which it refers, and one with a misspelled field.
 * Returns the paths of both.
 */
export async function writeConfigurations(folder: string): Promise<{ good: string; bad: string }> {
  const authority = await createAuthority(folder, 'ca')
  await issueCertificate(authority, folder, 'serving', {
    commonName: 'gatehouse',
    hosts: ['127.0.0.1'],
  })
  const client = await issueCertificate(authority, folder, 'upstream', { commonName: 'gatehouse' })
  await writeKubeconfig(join(folder, 'upstream.kubeconfig'), {
    url: 'https://127.0.0.1:6443',
    caFile: authority.certFile,
    ...client,
  })
  await writeFile(join(folder, 'rules.yaml'), rules)
  const good = join(folder, 'good.yaml')
  const bad = join(folder, 'bad.yaml')
  await writeFile(good, configuration)
  await writeFile(bad, configuration.replace('privateKeyFile', 'privateKeyFiel'))
  return { good, bad }
}

const configuration = `apiVersion: gatehouse/v1
kind: GatehouseConfiguration
listener:
  address: 127.0.0.1
  port: 0
  tls:
    certFile: serving.crt
    privateKeyFile: serving.key
authentication:
  x509:
    clientCAFile: ca.crt
authorization:
  rulesFile: rules.yaml
audit:
  stdout:
    enabled: true
upstream:
  kubeconfig: upstream.kubeconfig
`

const rules = `apiVersion: gatehouse/v1
kind: AccessRules
default: deny
rules:
  - name: readers
    effect: allow
    subjects: { groups: [readers] }
    verbs: [get, list, watch]
    resources: [{ apiGroups: ['*'], resources: ['*'] }]
  - name: all-paths
    effect: allow
    subjects: { groups: [readers] }
    verbs: ['*']
    nonResourceURLs: ['*']
  - name: self-reviews
    effect: allow
    subjects: { groups: [readers] }
    verbs: [create]
    resources: [{ apiGroups: [authentication.k8s.io, authorization.k8s.io], resources: ['*'] }]
`
