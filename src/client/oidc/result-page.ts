/** What the browser shows at the end of a sign-in: static pages, without anything from the request. */
const TEXTS = {
  done: ['You are signed in', 'You can close this window and go back to your terminal.'],
  refused: ['You are not signed in', 'The reason is in your terminal. You can close this window.'],
  'wrong state': [
    'This is another sign-in',
    'Nothing was accepted. Close this window, and start again in your terminal.',
  ],
} as const

const STYLE =
  'body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:20vh auto 0;padding:0 1rem}' +
  ':root{color-scheme:light dark}'

export interface Page {
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** The page of a result. */
export function resultPage(result: keyof typeof TEXTS): Page {
  const [title, text] = TEXTS[result]
  return {
    headers: {
      'Content-Type': 'text/html; charset=utf-8',
      'Cache-Control': 'no-store',
      // Nothing but this style; the address has the code in it, and must not be sent on.
      'Content-Security-Policy':
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
      'Referrer-Policy': 'no-referrer',
      'X-Content-Type-Options': 'nosniff',
    },
    body:
      `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title>` +
      `<meta name="viewport" content="width=device-width"><style>${STYLE}</style></head>` +
      `<body><main><h1>${title}</h1><p>${text}</p></main></body></html>\n`,
  }
}
