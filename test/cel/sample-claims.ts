/** Claims of a token, of every type. */
export const sampleClaims = {
  ...{ sub: 'ada', email: 'a@b', email_verified: true, level: 3, big: 1_234_567, fraction: 1.25 },
  ...{ roles: ['dev', 'admin'], realm_access: { roles: ['x', 'y'] }, list: ['p', 'q'] },
  ...{ csv: 'a,b,c', unicode: 'aKbé😀Z', empty: '', numbers: [1, 2, 3], nul: null },
  ...{ iat: 1_700_000_000, 'example.com': 'dot', nested: { 'a.b': 'inner' } },
  ...{ deep: { a: { b: { c: 'd' } } } },
}
