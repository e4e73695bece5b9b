/** The list of Kubernetes' resources, by which rules are checked, against a real kube-apiserver. */
import { describe, expect, inject, test } from 'vitest'

import {
  KUBERNETES_RESOURCES,
  verbsOfSubresource,
  type KubernetesResource,
} from '../../src/authorization/rules/kubernetes-resources.ts'
import { createKubectl } from '../support/kubectl.ts'

interface ServedResource {
  readonly name: string
  readonly singularName: string
  readonly namespaced: boolean
  readonly shortNames?: readonly string[]
  readonly verbs: readonly string[]
}

const CONNECTIONS = ['attach', 'exec', 'portforward', 'proxy']

describe.skipIf(!inject('hasParts'))('kube-apiserver', () => {
  test('serves the resources of the list, and no others', async () => {
    const served = await discover()
    const objects = served.filter(({ name }) => !name.includes('/'))
    const expected = objects.map(({ group, name, singularName, namespaced, shortNames = [] }) => ({
      group,
      name,
      isNamespaced: namespaced,
      // Its singular is the plural; a rule's author may not know.
      aliases: [name === 'endpoints' ? 'endpoint' : singularName, ...shortNames],
      subresources: served
        .filter((one) => one.group === group && one.name.startsWith(`${name}/`))
        .map((one) => one.name.slice(name.length + 1)),
    }))
    expect(inOrder(KUBERNETES_RESOURCES)).toEqual(inOrder(expected))
  })

  test('serves subresources by the verbs of the list', async () => {
    const wrong = (await discover()).filter(({ name, verbs }) => {
      const [, subresource] = name.split('/')
      if (subresource === undefined || CONNECTIONS.includes(subresource)) return false
      return verbs.toSorted().join() !== verbsOfSubresource(subresource).toSorted().join()
    })
    expect(wrong).toEqual([])
  })
})

async function discover(): Promise<(ServedResource & { readonly group: string })[]> {
  const controlPlane = inject('sharedControlPlane')
  if (controlPlane === undefined) throw new Error('the real parts are missing')
  const kubectl = createKubectl(controlPlane)
  const read = async (path: string): Promise<unknown> =>
    JSON.parse((await kubectl(['get', '--raw', path])).stdout)
  const { groups } = (await read('/apis')) as {
    groups: { name: string; versions: { groupVersion: string }[] }[]
  }
  const versions = [
    { group: '', path: '/api/v1' },
    ...groups.flatMap(({ name, versions }) =>
      versions.map(({ groupVersion }) => ({ group: name, path: `/apis/${groupVersion}` })),
    ),
  ]
  const lists = await Promise.all(
    versions.map(async ({ group, path }) => {
      const { resources } = (await read(path)) as { resources: ServedResource[] }
      return resources.map((resource) => ({ ...resource, group }))
    }),
  )
  const all = lists.flat()
  // Several versions of a group serve the same resources.
  return [...new Map(all.map((one) => [`${one.name}@${one.group}`, one])).values()]
}

function inOrder(resources: readonly KubernetesResource[]): KubernetesResource[] {
  return resources
    .map((resource) => ({
      ...resource,
      aliases: resource.aliases.toSorted(),
      subresources: resource.subresources.toSorted(),
    }))
    .toSorted((a, b) => (`${a.name}@${a.group}` < `${b.name}@${b.group}` ? -1 : 1))
}
