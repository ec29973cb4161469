// Shows the banner where the server put none, and ties unsafe requests to the session that the page was made for.
(() => {
  'use strict'
  const path = '/.understudy/'
  const header = 'X-Understudy-Session'
  const field = 'understudy_session'
  const banner = () => document.querySelector('understudy-banner')
  let id = banner()?.dataset.session

  // from the back-forward cache: of a session that may be over
  addEventListener('pageshow', (e) => { if (e.persisted) location.reload() })

  const tied = (method, url) =>
    id && !/^(GET|HEAD|OPTIONS)$/i.test(method) && new URL(url, document.baseURI).origin === location.origin

  const fetched = window.fetch
  window.fetch = function (input, init) {
    const request = input instanceof Request ? input : {}
    if (!tied(init?.method || request.method || 'GET', request.url || input)) return fetched.call(this, input, init)
    const headers = new Headers(init?.headers || request.headers)
    headers.set(header, id)
    return fetched.call(this, input, { ...init, headers })
  }

  const { open, send } = XMLHttpRequest.prototype
  const unsafe = new WeakSet()
  XMLHttpRequest.prototype.open = function (method, url, ...rest) {
    unsafe[tied(method, url) ? 'add' : 'delete'](this)
    return open.call(this, method, url, ...rest)
  }
  XMLHttpRequest.prototype.send = function (body) {
    if (unsafe.has(this)) this.setRequestHeader(header, id)
    return send.call(this, body)
  }

  addEventListener('formdata', ({ target, formData }) => {
    const attribute = (name) => target.getAttribute(name) || '' // not .action: a control may have that name
    if (tied(attribute('method') || 'get', attribute('action') || location.href)) {
      const rest = [...formData]
      for (const [name] of rest) formData.delete(name)
      formData.set(field, id) // first: before a large file
      for (const [name, value] of rest) if (name !== field) formData.append(name, value)
    }
  })

  const element = (name, properties, ...children) => {
    const e = Object.assign(document.createElement(name), properties)
    e.append(...children)
    return e
  }
  const bdi = (text) => element('bdi', {}, text)

  const stop = async (e) => {
    e.preventDefault()
    const form = e.target
    try {
      const answer = await fetched(form.action, {
        method: 'POST', headers: { Accept: 'application/json' }, body: new URLSearchParams(new FormData(form)),
      })
      location.assign((await answer.json()).redirect || location.href)
    } catch {
      form.submit()
    }
  }

  const show = async ({ session, subject, actor, mode, expires_at: ends, stop: action }) => {
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(await (await fetched(path + 'banner.css')).text())
    const name = subject.name || subject.email || subject.sub
    const host = element('understudy-banner', { role: 'region', ariaLabel: "You're impersonating " + name })
    host.dataset.session = session
    const root = host.attachShadow({ mode: 'open' })
    root.adoptedStyleSheets = [sheet]
    document.adoptedStyleSheets.push(sheet)
    root.append(element('div', { className: 'b' },
      element('p', {}, "You're impersonating ", element('b', {}, bdi(name)), ...(subject.name && subject.email ? [' (', bdi(subject.email), ')'] : []),
        ' ', element('span', { className: 'm' }, '· you are ', bdi(actor.email || actor.name || actor.sub),
          mode === 'write' ? ' · full access' : ' · look only', ' · ends ', element('time', { dateTime: ends }, ends.slice(11, 16) + ' UTC'))),
      element('form', { method: 'post', action, target: '_top', onsubmit: stop },
        element('input', { type: 'hidden', name: field, value: session }), element('button', {}, 'Stop'))))
    document.body.prepend(host)
  }

  const begin = async () => {
    if (id) return
    const s = await (await fetched(path + 'session')).json()
    if (!s.impersonating || banner()) return
    id = s.session
    await show(s)
  }
  begin().catch(() => {})
})()
