import java.io.IOException;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** One action, from a file with a line "KEY VALUE" for each setting. */
final class Action {
    String id;
    String kind;
    String mainClass;
    String classPath = "";
    /** Files that are to lie in the working directory. */
    Path scratch;
    final List<String> args = new ArrayList<>();
    final Map<String, String> properties = new LinkedHashMap<>();
    final List<String> exports = new ArrayList<>();
    final List<String> opens = new ArrayList<>();

    Action(Path file) throws IOException {
        for (String line : Files.readAllLines(file)) {
            int space = line.indexOf(' ');
            String value = line.substring(space + 1).replace("\\n", "\n");
            switch (line.substring(0, space)) {
                case "id" -> id = value;
                case "kind" -> kind = value;
                case "class" -> mainClass = value;
                case "classpath" -> classPath = value;
                case "arg" -> args.add(value);
                case "export" -> exports.add(value);
                case "open" -> opens.add(value);
                case "scratch" -> scratch = Path.of(value);
                case "property" -> {
                    int equals = value.indexOf('=');
                    properties.put(value.substring(0, equals), value.substring(equals + 1));
                }
                default -> throw new IOException("unknown line " + line);
            }
        }
    }

    /** Runs it in this thread. */
    void run(ClassLoader loader) throws Throwable {
        if (scratch != null) {
            try (Stream<Path> files = Files.walk(scratch)) {
                for (Path file : (Iterable<Path>) files.skip(1)::iterator) {
                    Files.copy(file, Path.of(scratch.relativize(file).toString()), StandardCopyOption.REPLACE_EXISTING);
                }
            }
        }
        Class<?> type = Class.forName(mainClass, kind.equals("main"), loader);
        switch (kind) {
            case "testng" -> TestNgAction.run(type);
            case "junit" -> JUnitAction.run(type);
            default -> {
                Method method = type.getMethod("main", String[].class);
                method.setAccessible(true);
                method.invoke(null, (Object) args.toArray(new String[0]));
            }
        }
    }
}
