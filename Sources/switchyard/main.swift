import Configuration
import Glibc
import Runtime

do throws(ConfigurationError) {
    switch try CommandLineRequest.parse(Array(CommandLine.arguments.dropFirst())) {
    case .version:
        print("\(Product.name) \(Product.version)")
    case .help:
        print(HelpText.text)
    case .check(.success):
        print("The configuration is valid.")
    case .check(.failure(let error)):
        throw error
    case .run(let configuration):
        Server.run(configuration)
    }
} catch {
    StandardError.write("switchyard: \(error)\n")
    exit(1)
}
