// Package chaos kills real servers and checks what must hold afterwards. Start with [New], which prepares a server process
// of its own, and [Check], which holds a store to the invariants; [Proxy] breaks the network between two parties, and
// [Ends] watches that what was ended stays ended. The package drives processes and reads a store; it names no backend, so
// that the same invariants hold each of them. It is for tests only.
//
//	func TestMain(m *testing.M) { os.Exit(chaos.Main(m)) }
//
//	func TestKill(t *testing.T) {
//		s := chaos.New(t, chaos.Config{Env: []string{"UNDERSTUDY_SIGN_IN_SECOND_FACTOR=optional"}})
//		s.Run("hunter2-hunter2\n", "user", "add", "--email", "ann@acme.test", "--name", "Ann", "--role", "admin", "--password-stdin")
//		s.Start()
//		load(s.URL)
//		s.Kill()
//		t.Log("ready again after", s.Start())
//		for _, v := range chaos.Check(t.Context(), open(s.Database), chaos.Options{Issuer: s.URL}) {
//			t.Error(v)
//		}
//	}
package chaos
