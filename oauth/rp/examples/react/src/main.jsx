import { StrictMode, useEffect, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { call, impersonate, session } from './understudy.js'

function App() {
  const [me, setMe] = useState()
  const [toast, setToast] = useState('')
  const tell = (problem) => setToast(problem.message)

  useEffect(() => {
    call('/api/me').then(setMe, tell)
    session().then(({ failure }) => failure && setToast(`${failure.title}. ${failure.detail}`), tell)
  }, [])

  return (
    <>
      <header>
        <p><strong>Billing</strong></p>
        {me && <p>{me.name}</p>}
      </header>
      <main>{me && (me.role === 'admin' ? <Users tell={tell} /> : <Dashboard me={me} say={setToast} />)}</main>
      <div className="toast" role="status">
        {toast && (
          <div>
            <p>{toast}</p>
            <button onClick={() => setToast('')}>Dismiss</button>
          </div>
        )}
      </div>
    </>
  )
}

function Users({ tell }) {
  const [users, setUsers] = useState([])
  useEffect(() => {
    call('/api/users').then(setUsers, tell)
  }, [])
  return (
    <>
      <h1>Users</h1>
      <ul>
        {users.map((u) => (
          <li key={u.sub}>
            <span>{u.name} ({u.email})</span>
            <button onClick={() => impersonate(u.sub, location.pathname).catch(tell)}>Impersonate {u.name}</button>
          </li>
        ))}
      </ul>
    </>
  )
}

// What the page may do is the server's to say: it refuses while somebody only looks, and the toast tells it.
function Dashboard({ me, say }) {
  const [address, setAddress] = useState(me.email)
  const save = (e) => {
    e.preventDefault()
    call('/api/address', { method: 'POST', body: JSON.stringify({ address }) }).then(() => say('Saved.'), (problem) => say(problem.message))
  }
  return (
    <>
      <h1>{me.role === 'viewer' ? 'Reports' : 'Invoices'}</h1>
      <p>{me.role === 'viewer' ? 'You can look at the reports of your organisation.' : 'Nothing is due.'}</p>
      <form onSubmit={save}>
        <label>Send invoices to<br /><input type="email" value={address} onChange={(e) => setAddress(e.target.value)} /></label>
        <button>Save</button>
      </form>
    </>
  )
}

createRoot(document.getElementById('root')).render(<StrictMode><App /></StrictMode>)
