// All that a page made in the browser has to know of understudy.

// Why the start that led back here did not begin is in the address, sealed. It is taken out at once, so that a reload does not tell it again.
const asked = location.search
if (asked.includes('understudy_failed=')) history.replaceState(history.state, '', location.pathname + location.hash)

// session says who is impersonated, by whom and until when, and in failure why the last start did not begin.
export const session = async () => (await fetch('/.understudy/session' + asked)).json()

// impersonate leaves for the issuer's page. Where that is not possible it throws what to tell people.
export async function impersonate(subject, returnTo) {
  const answer = await fetch('/.understudy/start', {
    method: 'POST',
    headers: { Accept: 'application/json', 'Content-Type': 'application/json' },
    body: JSON.stringify({ subject, return_to: returnTo }),
  })
  const told = await answer.json()
  if (!answer.ok) throw new Error(`${told.title}. ${told.detail}`)
  location.assign(told.redirect)
}

// call asks the app's own API. What is refused since somebody is impersonated says so, and after its end the page is loaded
// anew, which tells who it was.
export async function call(path, init) {
  const answer = await fetch(path, { headers: { Accept: 'application/json' }, ...init })
  if (answer.ok) return answer.json()
  const told = await answer.json().catch(() => ({}))
  if (told.code === 'impersonation_blocked' && told.reason === 'ended') location.reload()
  throw new Error(told.detail ? `${told.title}. ${told.detail}` : 'That did not work.')
}
