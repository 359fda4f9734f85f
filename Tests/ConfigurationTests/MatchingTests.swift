import Testing

@testable import Configuration

@Suite struct MatchingTests {
    @Test(arguments: [
        ("*", ""), ("*", "abc"), ("a*c", "abbbc"), ("a*b*c", "a1b2b3c"), ("?b?", "abc"), ("[a-c]x", "bx"), ("[c-a]x", "bx"),
        ("[^a]x", "bx"), ("[abc]", "B"), ("ABC", "abc"), (#"\*"#, "*"), (#"[\]]"#, "]"), ("", ""), ("**", "x"), ("[a", "a"),
        ("*ab", "aab"), ("*-*-*", "a-b-c"), (#"a\"#, #"a\"#),
    ])
    func globMatches(_ pattern: String, _ text: String) {
        #expect(Glob(pattern).matches(text))
    }

    @Test(arguments: [
        ("", "a"), ("a", ""), ("?", ""), ("a*c", "ab"), ("[^a]", "a"), ("[a-c]", "d"), (#"\*"#, "x"), ("abc", "abcd"),
        ("[]", "x"),
        ("*a", "b"), ("[", "x"),
    ])
    func globDoesNotMatch(_ pattern: String, _ text: String) {
        #expect(!Glob(pattern).matches(text))
    }

    @Test func globOfManyStarsEndsSoon() {
        let pattern = String(repeating: "*a", count: 2000) + "b"
        #expect(!Glob(pattern).matches(String(repeating: "a", count: 4000)))
    }

    @Test(arguments: [
        ("replcia", "replica"), ("PORT1", "port"), ("potr", "port"), ("maxclient", "maxclients"), ("time-out", "timeout"),
        ("read_from", "read-from"), ("max-replica-lag-byte", "max-replica-lag-bytes"),
    ])
    func suggestsNearName(_ word: String, _ name: String) {
        #expect(DirectiveTable.nearest(to: word)?.name == name)
    }

    @Test(arguments: ["", "x", "save", "appendonly", "daemonize", "po", String(repeating: "p", count: 1 << 16)])
    func suggestsNothingFarAway(_ word: String) {
        #expect(DirectiveTable.nearest(to: word) == nil)
    }

    @Test(arguments: [
        ("", "", 0), ("a", "", 1), ("ab", "ba", 1), ("kitten", "sitting", 3), ("ca", "abc", 3), ("abc", "abc", 0),
    ])
    func editDistanceCountsSwapsOfNeighboursOnce(_ left: String, _ right: String, _ distance: Int) {
        #expect(Suggestion.distance(Array(left.utf8), Array(right.utf8)) == distance)
        #expect(Suggestion.distance(Array(right.utf8), Array(left.utf8)) == distance)
    }

    @Test func namesOfRedisLeadToDirectives() {
        for name in DirectiveTable.namesInRedis.keys.sorted() {
            #expect(DirectiveTable.directive(named: name) == nil)
            #expect(DirectiveTable.nearest(to: name) != nil)
        }
    }

    @Test(arguments: [
        ("a/b.conf", "c", "a/c"), ("b.conf", "c", "c"), ("/b.conf", "c", "/c"), ("a/b", "/c", "/c"), ("b", "-", "./-"),
    ])
    func resolvesIncludes(_ file: String, _ path: String, _ resolved: String) {
        #expect(FilePath.resolve(path, from: file) == resolved)
    }

    @Test(arguments: [
        ("./a//b/../c", "a/c"), ("/a/./b", "/a/b"), ("../a", "../a"), ("a/../../b", "../b"), ("../../a", "../../a"),
    ])
    func normalizesPaths(_ path: String, _ normalized: String) {
        #expect(FilePath.normalized(path) == normalized)
    }
}
