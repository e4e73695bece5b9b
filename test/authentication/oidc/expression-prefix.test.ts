import { expect, test } from 'vitest'

import { prefixOfNames } from '../../../src/authentication/oidc/expression-prefix.ts'
import { compileFor } from '../../../src/authentication/oidc/expressions.ts'

test.for<[string, string]>([
  ["'oidc:' + claims.sub", 'oidc:'],
  ["'oidc:' + claims.a + ':' + claims.b", 'oidc:'],
  ["'oidc:' + 'x:' + claims.b", 'oidc:x:'],
  ["has(claims.a) ? 'oidc:a:' + claims.a : 'oidc:b'", 'oidc:'],
  ["dyn(claims.groups).map(g, 'g:' + g)", 'g:'],
  ["dyn(claims.groups).filter(g, g != '').map(g, 'g:' + g)", 'g:'],
  ["dyn(claims.groups).map(g, g != '', 'g:' + g)", 'g:'],
  ["['g:a'] + dyn(claims.groups).map(g, 'g:' + g)", 'g:'],
  ["['g:a', 'g:b', '']", 'g:'],
  ["has(claims.groups) ? dyn(claims.groups).map(g, 'g:' + g) : []", 'g:'],
  ["'constant'", 'constant'],
  // What follows may give any name.
  ['claims.sub', ''],
  ["claims.sub + ':oidc:'", ''],
  // An empty text in a sum is not a missing name.
  ["'oidc:' + (has(claims.a) ? 'ext:' : '') + claims.sub", 'oidc:'],
  ["'oidc:' + dyn(has(claims.a) ? '' : 'ext:') + claims.sub", 'oidc:'],
  ["'' + (has(claims.a) ? 'a:' : '') + claims.sub", ''],
  ["'oidc:' + (has(claims.a) ? 'ext:a' : 'ext:b') + claims.sub", 'oidc:ext:'],
  ["has(claims.a) ? 'oidc:' + claims.a : claims.b", ''],
  ["claims.?name.orValue('oidc:x')", ''],
  ["dyn(claims.groups).filter(g, g.startsWith('g:'))", ''],
  ["dyn(['g:a']) + dyn(claims.groups)", ''],
  ["['g:a'] + claims.groups", ''],
  ["('oidc:' + claims.sub).replace('oidc:', '')", ''],
  ["('oidc:' + claims.sub).substring(5)", ''],
  ["claims.groups.split(',').map(g, g.trim())", ''],
  ['[claims.?a, claims.?b].unwrapOpt()', ''],
  ['[]', ''],
])('%s gives names that begin with %j', ([text, prefix]) => {
  expect(prefixOfNames(compileFor('claims', text).syntax)).toBe(prefix)
})
