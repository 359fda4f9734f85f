import CLinux
import Glibc

/// What the kernel counts for this process.
struct ProcessFigures {
    var processorSeconds: Double
    var residentBytes: Int
    var openDescriptors: Int

    static var current: ProcessFigures {
        ProcessFigures(
            processorSeconds: switchyard_processor_seconds(), residentBytes: residentBytes(), openDescriptors: openDescriptors()
        )
    }

    /// The second field of `/proc/self/statm`, in pages (proc(5)).
    static func residentBytes() -> Int {
        guard let contents = SystemCalls.contents(ofFile: "/proc/self/statm") else { return 0 }
        let fields = contents.split(separator: UInt8(ascii: " "))
        guard fields.count > 1, let pages = Int(String(decoding: fields[1], as: UTF8.self)) else { return 0 }
        return pages * sysconf(Int32(_SC_PAGESIZE))
    }

    /// Entries of `/proc/self/fd` without `.`, `..` and the one open for looking.
    private static func openDescriptors() -> Int {
        guard let directory = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        return max(count - 3, 0)
    }
}
