// Runs one of Kafka's command line tools in this process, as its script would run it in its own: the same
// `main`, its arguments, its standard streams and its exit code. A JVM for each call would take minutes.

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.kafka.common.utils.Exit;

final class Tool {
    private Tool() {}

    /** What a tool has left: its exit code and what it printed. */
    record Ran(String command, int code, String out, String err) {
        Ran succeeds() {
            if (code != 0) throw new AssertionError(this + " should exit with 0");
            return this;
        }

        /** Neither exits with 0 nor keeps the reason to itself. */
        Ran fails(String reason) {
            if (code == 0) throw new AssertionError(this + " should fail");
            return says(reason);
        }

        /** Some part of the output, or of the errors, matches. */
        Ran says(String pattern) {
            if (!Pattern.compile(pattern, Pattern.MULTILINE).matcher(out + "\n" + err).find()) {
                throw new AssertionError(this + " does not say " + pattern);
            }
            return this;
        }

        Ran omits(String pattern) {
            if (Pattern.compile(pattern, Pattern.MULTILINE).matcher(out + "\n" + err).find()) {
                throw new AssertionError(this + " says " + pattern);
            }
            return this;
        }

        /** Lines of the output, without the empty ones. */
        List<String> lines() {
            return out.lines().map(String::strip).filter(line -> !line.isEmpty()).collect(Collectors.toList());
        }

        /** The rows of a table whose lines begin with `first`, as words. */
        List<List<String>> rows(String first) {
            List<List<String>> rows = new ArrayList<>();
            for (String line : lines()) {
                List<String> words = Arrays.asList(line.split("\\s+"));
                if (words.get(0).equals(first)) rows.add(words);
            }
            return rows;
        }

        @Override
        public String toString() {
            return command + ": exit code " + code + ": " + oneLine(out) + " | " + oneLine(err);
        }

        private static String oneLine(String text) {
            String line = text.strip().replaceAll("\\s+", " ");
            return line.length() < 600 ? line : line.substring(0, 300) + " ... " + line.substring(line.length() - 300);
        }
    }

    private static final class Exited extends Error {
        Exited() {
            super("the tool ends", null, false, false);
        }
    }

    private static final class ExitCode {
        Integer first;

        void is(int code) {
            if (first == null) first = code;
            throw new Exited();
        }
    }

    /** `name` is a class, relative to org.apache.kafka.tools unless it begins with `kafka.`. */
    static Ran run(String name, String... arguments) {
        return fed("", name, arguments);
    }

    /** The same, with something on the standard input. */
    static synchronized Ran fed(String input, String name, String... arguments) {
        PrintStream out = System.out;
        PrintStream err = System.err;
        InputStream in = System.in;
        ByteArrayOutputStream outBytes = new ByteArrayOutputStream();
        ByteArrayOutputStream errBytes = new ByteArrayOutputStream();
        ExitCode code = new ExitCode();
        Exit.setExitProcedure((status, message) -> {
            if (message != null) System.err.println(message);
            code.is(status);
        });
        Exit.setHaltProcedure((status, message) -> code.is(status));
        Exit.setShutdownHookAdder((hook, action) -> { });
        System.setOut(new PrintStream(outBytes, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(errBytes, true, StandardCharsets.UTF_8));
        System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
        int found;
        try {
            found = main(name, arguments, code);
        } finally {
            System.setOut(out);
            System.setErr(err);
            System.setIn(in);
            Exit.resetExitProcedure();
            Exit.resetHaltProcedure();
            Exit.resetShutdownHookAdder();
        }
        String command = Stream.concat(Stream.of(name), Arrays.stream(arguments)).collect(Collectors.joining(" "));
        return new Ran(command, found, outBytes.toString(StandardCharsets.UTF_8), errBytes.toString(StandardCharsets.UTF_8));
    }

    private static int main(String name, String[] arguments, ExitCode code) {
        try {
            Class<?> tool = Class.forName(name.startsWith("kafka.") ? name : "org.apache.kafka.tools." + name);
            tool.getMethod("main", String[].class).invoke(null, (Object) arguments);
            return code.first == null ? 0 : code.first;
        } catch (InvocationTargetException error) {
            if (code.first != null) return code.first;
            // What a JVM does with an exception that leaves main.
            error.getCause().printStackTrace();
            return 1;
        } catch (ReflectiveOperationException error) {
            throw new AssertionError("no tool " + name, error);
        }
    }
}
