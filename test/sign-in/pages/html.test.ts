import { expect, test } from 'vitest'

import { html } from '../../../src/sign-in/pages/html.ts'

test('escapes every value, in text and in attributes', () => {
  const value = `<a href='x' title="y">&`
  const escaped = '&lt;a href=&#39;x&#39; title=&quot;y&quot;&gt;&amp;'
  expect(html`<p title="${value}">${value}</p>`.text).toBe(`<p title="${escaped}">${escaped}</p>`)
})

test('takes HTML as it is', () => {
  const items = ['<', 'b'].map((item) => html`<b>${item}</b>`)
  expect(html`<p>${items}</p>`.text).toBe('<p><b>&lt;</b><b>b</b></p>')
})

test.for([
  ['\u202eadmin', '[U+202E]admin'],
  ['ad\u200bmin', 'ad[U+200B]min'],
  ['a\u0000b', 'a[U+0000]b'],
] as const)('shows characters that a reader does not see: %j', ([name, shown]) => {
  expect(html`${name}`.text).toBe(shown)
})
