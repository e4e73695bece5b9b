import type { Adapter } from 'oidc-provider'

/**
 * The storage of an oidc-provider: all grants and tokens in one map, in memory. Expired entries are
 * not found. (The library's own memory adapter prints a warning that it must be replaced.)
 */
export function createAdapters(): (kind: string) => Adapter {
  const entries = new Map<string, { payload: Record<string, unknown>; end: number }>()
  const find = (key: string): Record<string, unknown> | undefined => {
    const entry = entries.get(key)
    if (entry !== undefined && entry.end > Date.now()) return entry.payload
    entries.delete(key)
    return undefined
  }
  const findBy = async (kind: string, field: string, value: string) => {
    const keys = [...entries.keys()].filter((key) => key.startsWith(`${kind}:`))
    return keys.map(find).find((payload) => payload?.[field] === value)
  }
  return (kind) => ({
    upsert: async (id, payload, expiresIn = Infinity) => {
      for (const key of entries.keys()) find(key)
      entries.set(`${kind}:${id}`, {
        payload: { ...payload },
        end: Date.now() + expiresIn * 1000,
      })
    },
    find: async (id) => find(`${kind}:${id}`),
    findByUserCode: (userCode) => findBy(kind, 'userCode', userCode),
    findByUid: (uid) => findBy(kind, 'uid', uid),
    consume: async (id) => {
      const payload = find(`${kind}:${id}`)
      if (payload !== undefined) payload['consumed'] = Math.floor(Date.now() / 1000)
    },
    destroy: async (id) => void entries.delete(`${kind}:${id}`),
    revokeByGrantId: async (grantId) => {
      for (const [key, { payload }] of entries) {
        if (payload['grantId'] === grantId) entries.delete(key)
      }
    },
  })
}
