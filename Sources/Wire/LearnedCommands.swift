/// Commands as real servers describe them.
package struct LearnedCommands: Sendable {
    package init() {}
}
