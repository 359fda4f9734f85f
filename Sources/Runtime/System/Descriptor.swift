/// The one owner of an open descriptor; closes it when it goes away.
struct Descriptor: ~Copyable, Sendable {
    let number: Int32

    init(owning number: Int32) {
        precondition(number >= 0, "a descriptor that was never opened")
        self.number = number
    }

    /// Takes over the result of a system call, which is a descriptor or a negated `errno`.
    init(_ result: Int, attempt: @autoclosure () -> String) throws(SystemError) {
        guard result >= 0 else { throw SystemError(attempt: attempt(), code: Int32(-result)) }
        number = Int32(result)
    }

    /// Gives the descriptor away without closing it.
    consuming func release() -> Int32 {
        let number = number
        discard self
        return number
    }

    deinit { SystemCalls.close(number) }
}
